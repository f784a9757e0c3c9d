// The page of the chat: the way in, and what is shown while there is no connection.

import { $, show } from "./common/dom.js";
import { farewell, isPassing, refusal } from "./common/words.js";
import { Chat } from "./chat.js";
import { goOn, logIn, tryNow } from "./net.js";
import { waitingOf } from "./outbox.js";

const BUSY = "The server is busy: still waiting for its answer.";
const STAGES = ["gate", "waiting", "chat"];

const chat = new Chat();
let client = null;
let giveUp = new AbortController();
let isRestarting = false; // the server has announced its shutdown, and is not back yet
let countdown = null;

const listeners = {
  ...chat.listeners,
  slow: () => showStatus(BUSY),
  reconnecting: (error, seconds) => showTrying(error, seconds),
  reconnected: () => enter(),
  closed: (error) => {
    if (client === null) return; // the user has left
    leave(isForgotten(error) ? "Please log in again." : farewell(error, "chat"));
  },
};

/** Whether the session ended, and the page has no password to log in again: it was reloaded. */
function isForgotten(error) {
  return error.code === "refused" && client?.options.password === undefined;
}

function stage(name) {
  for (const one of STAGES) $(`#${one}`).hidden = one !== name;
}

// -- the way in -----------------------------------------------------------------------------------

async function comeIn(username, password) {
  const button = $("#login button");
  button.disabled = true;
  show($("#refusal"), null);
  try {
    giveUp = new AbortController();
    const secrets = { username, password };
    await entered(await logIn(secrets, listeners, showWaiting, giveUp.signal));
  } catch (error) {
    leave(giveUp.signal.aborted ? null : refusal(error, "chat"));
  } finally {
    button.disabled = false;
  }
}

async function comeBack() {
  const wasHere = sessionStorage.getItem("chat here") !== null;
  try {
    const resumed = await goOn(listeners, showWaiting, giveUp.signal);
    if (resumed === null) leave(wasHere ? "Your session is over. Please log in again." : null);
    else await entered(resumed);
  } catch (error) {
    leave(giveUp.signal.aborted ? null : refusal(error, "chat"));
  }
}

async function entered(opened) {
  client = opened;
  sessionStorage.setItem("chat name", client.avatarId);
  sessionStorage.setItem("chat here", "");
  await enter();
}

/** Show the chat as it is now. If the connection is lost on the way, the client reconnects. */
async function enter() {
  const opened = client;
  if ($("#chat").hidden) {
    $("#waiting-text").textContent = "Entering …";
    stage("waiting");
  }
  try {
    await chat.enter(opened, () => stage("chat"));
    isRestarting = false;
    showStatus(null);
  } catch (error) {
    if (opened !== client || isPassing(error)) return; // it is over, or it reconnects
    leave(refusal(error, "chat"));
    opened.close();
  }
}

/** Go back to the login. What was not sent is kept for the next one. */
function leave(message) {
  const name = sessionStorage.getItem("chat name") ?? "";
  const count = waitingOf(name, sessionStorage);
  const kept = count === 1
    ? " A line is not sent yet; it is kept."
    : ` ${count} lines are not sent yet; they are kept.`;
  client = null;
  isRestarting = false;
  chat.end();
  showStatus(null);
  stage("gate");
  show($("#refusal"), message && count ? message + kept : message);
  sessionStorage.removeItem("chat here");
  $("#username").value ||= name;
  ($("#username").value ? $("#password") : $("#username")).focus();
}

// -- without a connection -------------------------------------------------------------------------

function showWaiting(error, seconds) {
  $("#waiting-text").textContent = "What you have typed is kept.";
  stage("waiting");
  showTrying(error, seconds);
}

function showTrying(error, seconds) {
  isRestarting ||= error.code === "drained";
  const until = performance.now() + seconds * 1000;
  const update = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    const what = isRestarting ? "The server is restarting." : "The connection was lost.";
    const when = left > 1 ? ` Trying again in ${left} s.` : " Trying again.";
    $("#status").textContent = what + when;
    $("#try-now").hidden = left <= 1;
  };
  showStatus("");
  update();
  countdown = setInterval(update, 500);
}

function showStatus(text) {
  clearInterval(countdown);
  $("#status").textContent = text ?? "";
  $("#notice").hidden = text === null;
  $("#try-now").hidden = true;
}

$("#try-now").addEventListener("click", () => (client === null ? tryNow() : client.reconnectNow()));
$("#login").addEventListener("submit", (event) => {
  event.preventDefault();
  comeIn($("#username").value.trim(), $("#password").value);
  $("#password").value = "";
});
for (const button of [$("#leave"), $("#give-up")]) {
  button.addEventListener("click", () => {
    const opened = client;
    giveUp.abort();
    leave(null);
    opened?.close();
  });
}

comeBack().finally(() => (document.body.dataset.ready = ""));
