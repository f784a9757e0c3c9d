// A room as the page knows it: its lines in their order, who is in it, what is unread.

export const KEPT = 500;
const ANSWER = 50; // the server sends so many lines at once

/** With whom a conversation is, given its name "@NAME"; null for a room. */
export const partnerOf = (name) => (name.startsWith("@") ? name.slice(1) : null);

export class Room {
  constructor(name, { read = 0, unread = 0 } = {}) {
    this.name = name;
    this.read = read;
    this.unread = unread;
    this.newFrom = null; // the number of the first line under "New", while the room is open
    this.entries = []; // lines { number, at, name, text } and events { number, at, event }
    this.people = new Set();
    this.loaded = false;
    this.hasEarlier = false;
    this.draft = "";
  }

  /** The number of the last line. */
  get last() {
    return Math.floor(this.entries.at(-1)?.number ?? 0);
  }

  /** Add a line where its number says; returns "appended", "inserted" or "known". */
  add(line) {
    let at = this.entries.length;
    while (at > 0 && this.entries[at - 1].number > line.number) at -= 1;
    if (at > 0 && this.entries[at - 1].number === line.number) return "known";
    this.entries.splice(at, 0, line);
    const isLast = at === this.entries.length - 1;
    if (this.entries.length > KEPT) {
      this.entries.shift();
      this.hasEarlier = true;
    }
    return isLast ? "appended" : "inserted";
  }

  /** Add an event, which comes after the last line. */
  addEvent(event) {
    let number = this.last + 0.001;
    const before = this.entries.at(-1)?.number ?? 0;
    if (before >= number) number = before + 0.001;
    this.entries.push({ number, at: Date.now() / 1000, event });
    if (this.entries.length > KEPT) this.entries.shift();
  }

  /** Take the last lines as the server has them. */
  merge(lines) {
    const isWhole = lines.length < ANSWER;
    const known = this.entries.findLast((entry) => !entry.event)?.number ?? 0;
    if (!isWhole && this.loaded && known < lines[0].number) {
      this.entries = []; // there may be lines between what was known and these
    }
    for (const line of lines) this.add(line);
    if (!this.loaded || this.firstNumber === lines[0]?.number) this.hasEarlier = !isWhole;
    this.loaded = true;
  }

  /** Take lines before all others. */
  mergeEarlier(lines) {
    this.entries.unshift(...lines.filter((line) => line.number < (this.firstNumber ?? Infinity)));
    this.hasEarlier = lines.length >= ANSWER;
  }

  /** The number of the first line; undefined if there is none. */
  get firstNumber() {
    return this.entries.find((entry) => !entry.event)?.number;
  }

  /** Note up to where the user has read, here or in another window. */
  readUpTo(number, myself) {
    this.read = Math.max(this.read, number);
    const unread = this.entries.filter((entry) => !entry.event && entry.name !== myself);
    this.unread = unread.filter((entry) => entry.number > this.read).length;
  }
}
