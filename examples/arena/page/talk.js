// The talk of those nearby, and the line to say something.

import { $, element } from "./common/dom.js";
import { TEAMS } from "./palette.js";

const KEPT = 60;
const EARSHOT = 10; // steps: what bots say further away is a bubble only

export class Talk {
  constructor(say) {
    this.say = say;
    $("#say").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = $("#text").value.trim();
      if (text && !this.say(text)) return;
      $("#text").value = "";
      this.close();
    });
    $("#text").addEventListener("blur", () => {
      if ($("#text").value === "") this.close();
    });
  }

  open() {
    $("#say").hidden = false;
    $("#chat").classList.add("open");
    $("#text").focus();
  }

  /** Close the line; returns whether it was open. */
  close() {
    const was = !$("#say").hidden;
    $("#say").hidden = true;
    $("#chat").classList.remove("open");
    if (was) $("#world").focus();
    return was;
  }

  clear() {
    $("#talk").replaceChildren();
    $("#text").value = "";
    this.close();
  }

  add(world, body, text) {
    const me = world.me;
    const far = me ? Math.hypot(body.x - me.x, body.y - me.y) : Infinity;
    if (body.look !== "person" && far > EARSHOT) return false;
    const talk = $("#talk");
    const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 30;
    const speaker = element("b", {}, body.name);
    speaker.style.color = TEAMS[body.team].light;
    const isMine = body === me && world.land.name !== null;
    talk.append(element("li", { className: isMine ? "mine" : "" }, speaker, " ", text));
    while (talk.children.length > KEPT) talk.firstChild.remove();
    if (atEnd) talk.scrollTop = talk.scrollHeight;
    return true;
  }
}
