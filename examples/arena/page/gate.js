// The way in: as a guest, with an account, or with a new one.

import { $, show } from "./common/dom.js";
import { refusal } from "./common/words.js";

const PLACE = "arena";

export class Gate {
  /**
   * `enter` logs in with secrets; `signUp` makes an account of a name and a password. Both return
   * promises.
   */
  constructor(enter, signUp) {
    this.enter = enter;
    this.signUp = signUp;
    $("#login").addEventListener("submit", (event) => this.logIn(event));
    $("#guest").addEventListener("click", () => this.comeIn({}));
    $("#to-sign-up").addEventListener("click", () => this.openSignUp());
    $("#keep").addEventListener("click", () => this.openSignUp());
    $("#sign-up-form").addEventListener("submit", (event) => this.makeAccount(event));
    for (const button of document.querySelectorAll("[data-close]")) {
      button.addEventListener("click", () => button.closest("dialog").close());
    }
  }

  open(message) {
    $("#gate").hidden = false;
    show($("#refusal"), message);
    $("#guest").focus();
  }

  close() {
    $("#gate").hidden = true;
    show($("#refusal"), null);
  }

  showPlayers({ players, people }) {
    const count = (number) => number.toLocaleString("en");
    const bots = count(players - people);
    const who = people === 1 ? "1 person" : `${count(people)} people`;
    const text = `${who} and ${bots} bots play now.`;
    $("#players").textContent = text;
  }

  logIn(event) {
    event.preventDefault();
    const username = $("#username").value.trim();
    if (username === "") {
      show($("#refusal"), "Type a name, or play as a guest.");
      $("#username").focus();
      return;
    }
    this.comeIn({ username, password: $("#password").value });
    $("#password").value = "";
  }

  async comeIn(secrets) {
    const buttons = document.querySelectorAll("#gate button");
    buttons.forEach((button) => (button.disabled = true));
    show($("#refusal"), null);
    try {
      await this.enter(secrets);
    } catch (error) {
      this.open(refusal(error, PLACE));
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  }

  openSignUp() {
    const isGuest = $("#gate").hidden;
    $("#sign-up-text").textContent = isGuest
      ? "You play on as this name, with the gold that you have brought home."
      : "A name and a password, nothing else.";
    show($("#sign-up-refusal"), null);
    $("#sign-up").showModal();
  }

  async makeAccount(event) {
    event.preventDefault();
    const name = $("#new-name").value.trim();
    const password = $("#new-password").value;
    const button = $("#sign-up-form .primary");
    if (!isSecureContext) { // a password must not be sent in the clear
      show($("#sign-up-refusal"), "This needs a page with https, or one of your own machine.");
      return;
    }
    button.disabled = true;
    show($("#sign-up-refusal"), null);
    try {
      await this.signUp(name, password);
      $("#sign-up").close();
      $("#new-password").value = "";
    } catch (error) {
      show($("#sign-up-refusal"), refusal(error, PLACE));
    } finally {
      button.disabled = false;
    }
  }
}
