// The chat's page: rooms, their lines and their members.

import { connect } from "./rpc/actorcred.js";

const $ = (selector) => document.querySelector(selector);
const KEPT = 500;
const LOBBY = "lobby";

let client = null;
let myself = "";
let current = LOBBY;
let restarting = false; // the server announced its shutdown, and is not back yet
// name -> { entries, unread, ready }; lines that arrive before a room's history are part of it
const rooms = new Map();

// -- login and logout -----------------------------------------------------------------------------

const listeners = {
  said: (room, line) => rooms.get(room)?.ready && add(room, lineEntry(line)),
  came: (room, name) => presence(room, name, "came"),
  went: (room, name) => presence(room, name, "went"),
  whispered: (name, to, text) => {
    add(current, { kind: "private", text: `${name} to ${to}: ${text}` });
  },
  slow: () => showStatus("The server is busy: still waiting for its answer."),
  reconnecting: (error) => {
    restarting ||= error.code === "drained";
    const what = restarting ? "The server is restarting." : "The connection was lost.";
    showStatus(`${what} Trying again.`);
  },
  reconnected: () => enter(),
  closed: (error) => leave(farewell(error)),
};

function farewell(error) {
  switch (error.code) {
    case "logout": return null;
    case "kicked": return `You were kicked: ${error.message}`;
    default: return refusal(error);
  }
}

function refusal(error) {
  switch (error.code) {
    case "refused": return "Name or password is wrong.";
    case "denied": {
      const wait = error.retryAfter ? ` Try again in ${Math.ceil(error.retryAfter)} s.` : "";
      return `The chat is full, or there were too many attempts.${wait}`;
    }
    case "unavailable":
      return "The server is up, but logging in is not possible at the moment. Try again later.";
    case "unreachable":
      return (
        "The server cannot be reached, or it accepts no more connections. " +
        "Try again in a moment."
      );
    case "lost": return "The connection was lost. Try again.";
    default: return error.message;
  }
}

async function comeIn(username, password) {
  const button = $("#login button");
  button.disabled = true;
  $("#refusal").hidden = true;
  try {
    client = await connect("rpc/socket", {
      username,
      password,
      listeners,
      client: ["chat page", "1"],
    });
    myself = username;
    await enter();
  } catch (error) {
    leave(refusal(error));
  } finally {
    button.disabled = false;
  }
}

async function enter() {
  restarting = false;
  showStatus(null);
  $("#you").textContent = myself;
  $("#gate").hidden = true;
  for (const id of ["#chat", "#you", "#leave"]) $(id).hidden = false;
  const names = rooms.size ? [...rooms.keys()] : [LOBBY];
  rooms.clear();
  for (const name of names) await join(name);
  await open(names.includes(current) ? current : LOBBY);
  $("#text").focus();
}

function leave(message) {
  client = null;
  rooms.clear();
  current = LOBBY;
  showStatus(null);
  for (const id of ["#chat", "#you", "#leave"]) $(id).hidden = true;
  $("#gate").hidden = false;
  $("#refusal").textContent = message ?? "";
  $("#refusal").hidden = !message;
  $("#username").focus();
}

function showStatus(text) {
  $("#status").textContent = text ?? "";
  $("#status").hidden = text === null;
}

// -- rooms ----------------------------------------------------------------------------------------

async function join(name) {
  const room = { entries: [], unread: false, ready: false };
  const lines = await client.call("join", name);
  const key = name.trim().toLowerCase();
  rooms.set(key, room);
  room.entries = lines.map(lineEntry);
  room.ready = true;
  return key;
}

async function open(name) {
  current = name;
  rooms.get(name).unread = false;
  $("#room-title").textContent = name;
  $("#lines").replaceChildren(...rooms.get(name).entries.map(element));
  scrollDown();
  showRooms();
  await showPeople();
}

function showRooms() {
  $("#rooms").replaceChildren(...[...rooms].map(([name, room]) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.classList.toggle("unread", room.unread);
    if (name === current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => open(name));
    item.append(button);
    return item;
  }));
}

async function showPeople() {
  const room = current;
  const names = await client.call("who", room);
  if (room !== current) return;
  $("#people-title").textContent = `Here: ${names.length}`;
  $("#names").replaceChildren(...names.map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    return item;
  }));
}

// -- lines ----------------------------------------------------------------------------------------

function lineEntry(line) {
  return { kind: "said", name: line.name, text: line.text, at: line.at };
}

function presence(room, name, what) {
  if (!rooms.get(room)?.ready) return;
  add(room, { kind: "event", text: `${name} ${what}` });
  if (room === current) showPeople().catch(() => {}); // the connection might be closing
}

function add(name, entry) {
  const room = rooms.get(name);
  room.entries.push(entry);
  if (room.entries.length > KEPT) room.entries.shift();
  if (name !== current) {
    room.unread = true;
    showRooms();
    return;
  }
  const list = $("#lines");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(element(entry));
  if (list.children.length > KEPT) list.firstChild.remove();
  if (atEnd) scrollDown();
}

function element(entry) {
  const item = document.createElement("li");
  item.className = entry.kind;
  if (entry.kind === "said") {
    const time = document.createElement("time");
    time.textContent = new Date(entry.at * 1000).toLocaleTimeString([], {
      hour: "2-digit",
      minute: "2-digit",
    });
    const name = document.createElement("b");
    name.textContent = entry.name;
    item.append(time, name, ` ${entry.text}`);
  } else {
    item.textContent = entry.text;
  }
  return item;
}

function scrollDown() {
  $("#lines").scrollTop = $("#lines").scrollHeight;
}

async function act(text) {
  const [, word, rest = ""] = /^\/(\w+)\s*(.*)$/.exec(text) ?? [];
  const [name, ...words] = rest.split(/\s+/);
  if (!word) return client.call("say", current, text);
  if (word === "msg") return client.call("whisper", name, words.join(" "));
  if (word === "join") return open(await join(rest));
  throw new Error(`There is no /${word} here.`);
}

// -- forms ----------------------------------------------------------------------------------------

$("#login").addEventListener("submit", (event) => {
  event.preventDefault();
  comeIn($("#username").value.trim(), $("#password").value);
  $("#password").value = "";
});
$("#leave").addEventListener("click", () => client?.close());
$("#say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("#text").value.trim();
  if (!text) return;
  $("#text").value = "";
  try {
    await act(text);
  } catch (error) {
    add(current, { kind: "event", text: error.message });
  }
});
$("#join").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("#room").value.trim();
  if (!name) return;
  $("#room").value = "";
  try {
    await open(await join(name));
  } catch (error) {
    add(current, { kind: "event", text: error.message });
  }
});

document.body.dataset.ready = "";
