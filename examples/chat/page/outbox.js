// What was typed and is not sent yet. It is kept over a reload of the page, and sent once.

import { isPassing } from "./common/words.js";

const MOST = 100;
const WAITING = new Set(["too-fast", "too-many-requests", "suspended", "unanswered"]);
const PAUSE = 2; // seconds

const keyOf = (user) => `chat outbox ${user}`;

/** How many lines of a user wait to be sent. */
export function waitingOf(user, storage) {
  return JSON.parse(storage.getItem(keyOf(user)) ?? "[]").length;
}

export class Outbox {
  /**
   * @param {string} user whose lines these are.
   * @param {Storage} storage keeps them.
   * @param {function} send sends (room, text, key); returns a promise.
   * @param {function} changed called when the items have changed.
   */
  constructor(user, storage, send, changed) {
    this.key = keyOf(user);
    this.storage = storage;
    this.send = send;
    this.changed = changed;
    this.items = JSON.parse(storage.getItem(this.key) ?? "[]");
    this.sending = false;
  }

  /** The items of a room: { key, room, text, problem }. `problem` says why one was not sent. */
  of(room) {
    return this.items.filter((item) => item.room === room);
  }

  /** Add a line and send it, now or when there is a connection. Throws if there are too many. */
  add(room, text) {
    if (this.items.length >= MOST) throw new Error(`${MOST} lines wait already; none is added.`);
    this.items.push({ key: newKey(), room, text, problem: null });
    this.keep();
    this.flush();
  }

  /** Forget an item: it is said, or is not wanted any more. */
  remove(key) {
    const left = this.items.filter((item) => item.key !== key);
    if (left.length === this.items.length) return;
    this.items = left;
    this.keep();
  }

  /** Send an item again that could not be sent. */
  retry(key) {
    for (const item of this.items) if (item.key === key) item.problem = null;
    this.keep();
    this.flush();
  }

  /** Send what waits, one after the other, until the connection fails. */
  async flush() {
    if (this.sending) return;
    this.sending = true;
    try {
      let item;
      while ((item = this.items.find((one) => one.problem === null))) {
        if (!(await this.sent(item))) break;
      }
    } finally {
      this.sending = false;
    }
  }

  /** Send one item; returns whether to go on with the next. */
  async sent(item) {
    try {
      await this.send(item.room, item.text, item.key);
    } catch (error) {
      if (WAITING.has(error.code)) { // the same connection takes it later, and only once
        await new Promise((resolve) => setTimeout(resolve, (error.retryAfter ?? PAUSE) * 1000));
        return true;
      }
      if (isPassing(error)) return false;
      item.problem = error.message;
      this.keep();
      return true;
    }
    this.remove(item.key);
    return true;
  }

  keep() {
    if (this.items.length) this.storage.setItem(this.key, JSON.stringify(this.items));
    else this.storage.removeItem(this.key);
    this.changed();
  }
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
