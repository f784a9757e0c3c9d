// The lines of a room in the document: days, faces, links, and what is not sent yet.

import { $, element } from "./common/dom.js";
import { dayOf } from "./days.js";

const TOGETHER = 300; // seconds within which the lines of one speaker share a name
const LINK = /https?:\/\/[^\s<>"]+/g;

export class Lines {
  /** `actions` are functions: person(name), retry(key), discard(key), scrolled(isAtEnd). */
  constructor(actions) {
    this.actions = actions;
    this.list = $("#lines");
    this.pending = $("#pending");
    this.scroller = $("#scroller");
    this.last = null; // the entry that is shown last
    this.scroller.addEventListener("scroll", () => actions.scrolled(this.isAtEnd));
    new ResizeObserver(() => this.wasAtEnd && this.toEnd()).observe(this.scroller);
    this.wasAtEnd = true;
  }

  /** Whether the last line can be seen. */
  get isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return (this.wasAtEnd = scrollHeight - scrollTop - clientHeight < 60);
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.wasAtEnd = true;
  }

  /** Show a room. The view stays where it is if `keep` says so. */
  show(room, myself, keep = false) {
    const fromEnd = this.scroller.scrollHeight - this.scroller.scrollTop;
    const stay = keep && !this.isAtEnd;
    this.myself = myself;
    this.newFrom = room.newFrom;
    this.last = null;
    this.list.replaceChildren(...room.entries.flatMap((entry) => this.made(entry)));
    if (stay) this.scroller.scrollTop = this.scroller.scrollHeight - fromEnd;
    else this.toEnd();
  }

  /** Show a further entry at the end. */
  append(entry) {
    const isAtEnd = this.isAtEnd;
    this.list.append(...this.made(entry));
    if (isAtEnd || entry.name === this.myself) this.toEnd();
  }

  /** Show what waits to be sent. */
  showPending(items) {
    const isAtEnd = this.isAtEnd;
    this.pending.replaceChildren(...items.map((item) => this.waiting(item)));
    if (isAtEnd) this.toEnd();
  }

  made(entry) {
    const before = this.last;
    this.last = entry;
    const made = [];
    if (!before || dayOf(before.at) !== dayOf(entry.at)) {
      made.push(element("li", { className: "day", textContent: dayOf(entry.at) }));
    }
    const isNew = (one) => this.newFrom !== null && one?.number >= this.newFrom;
    if (isNew(entry) && !isNew(before)) {
      made.push(element("li", { className: "new", textContent: "New" }));
    }
    if (entry.event) return [...made, event(entry)];
    const goesOn = before?.name === entry.name && entry.at - before.at < TOGETHER;
    return [...made, this.said(entry, made.length > 0 || !goesOn)];
  }

  said(line, isFirst) {
    const item = element("li", { className: "said" });
    item.classList.toggle("own", line.name === this.myself);
    item.classList.toggle("first", isFirst);
    item.append(face(line.name), bubble(line, this.actions.person));
    return item;
  }

  waiting({ key, text, problem }) {
    const note = element("p", { className: "note" }, problem ?? "Waiting to be sent");
    if (problem) {
      const again = element("button", { type: "button", textContent: "Send again" });
      const discard = element("button", { type: "button", textContent: "Discard" });
      again.addEventListener("click", () => this.actions.retry(key));
      discard.addEventListener("click", () => this.actions.discard(key));
      note.append(again, discard);
    }
    const item = element("li", { className: "said own waiting" });
    item.classList.toggle("failed", problem !== null);
    item.append(element("div", { className: "bubble" }, textOf(text), note));
    return item;
  }
}

function bubble(line, person) {
  const name = element("button", { type: "button", className: "name", textContent: line.name });
  name.style.setProperty("--hue", hueOf(line.name));
  name.addEventListener("click", () => person(line.name));
  const at = new Date(line.at * 1000);
  const time = element("time", { dateTime: at.toISOString(), title: at.toLocaleString() });
  time.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return element("div", { className: "bubble" }, name, textOf(line.text), time);
}

function event(entry) {
  return element("li", { className: "event" }, element("span", {}, ...withLinks(entry.event)));
}

/** The circle with the first letter of a name. */
export function face(name) {
  const made = element("span", { className: "face", ariaHidden: "true" });
  made.textContent = String.fromCodePoint(name.codePointAt(0)).toUpperCase();
  made.style.setProperty("--hue", hueOf(name));
  return made;
}

function hueOf(name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 9973;
  return Math.round(hash * 137.5) % 360; // the golden angle keeps neighbours apart
}

function textOf(text) {
  return element("p", { className: "text" }, ...withLinks(text));
}

/** A text as nodes in which addresses are links. */
export function withLinks(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const address = withoutTail(match[0]);
    if (!URL.canParse(address)) continue;
    nodes.push(text.slice(end, match.index));
    nodes.push(element("a", {
      href: address,
      target: "_blank",
      rel: "noopener noreferrer nofollow",
      textContent: address,
    }));
    end = match.index + address.length;
  }
  return [...nodes, text.slice(end)];
}

/** An address without what ends the sentence around it. */
function withoutTail(address) {
  let kept = address.replace(/[.,;:!?'*_]+$/, "");
  while (kept.endsWith(")") && kept.split(")").length > kept.split("(").length) {
    kept = kept.slice(0, -1).replace(/[.,;:!?'*_]+$/, "");
  }
  return kept;
}
