// The line in which the user types.

import { $ } from "./common/dom.js";

const TALLEST = 160; // pixels

export class Line {
  /** `typed(text)` is called with what the user sends; `last()` returns what was sent before. */
  constructor(typed, last) {
    this.field = $("#text");
    this.field.addEventListener("input", () => this.fit());
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.send(typed);
      } else if (event.key === "ArrowUp" && this.field.value === "" && last()) {
        event.preventDefault();
        this.text = last();
      }
    });
    $("#say").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(typed);
    });
  }

  get text() {
    return this.field.value;
  }

  set text(text) {
    this.field.value = text;
    this.fit();
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  send(typed) {
    const text = this.text.trim();
    if (!text) return;
    this.text = "";
    typed(text);
    this.focus();
  }

  /** Make it as tall as its text. */
  fit() {
    this.field.style.height = "auto";
    const edge = this.field.offsetHeight - this.field.clientHeight;
    this.field.style.height = `${Math.min(TALLEST, this.field.scrollHeight + edge)}px`;
  }
}
