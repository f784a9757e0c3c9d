// The arena's page: display and input. The rules of the game are on the server.

import { connect, resume } from "./rpc/actorcred.js";
import { drawChart, drawWorld } from "./draw.js";

const $ = (selector) => document.querySelector(selector);
const KEYS = {
  ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0],
  w: [0, 1], s: [0, -1], a: [-1, 0], d: [1, 0],
};
const STEP = 0.6; // a player's step per tick; the server allows more
const TALK_KEPT = 100;
const POINTS_KEPT = 60;

let client = null;
let world = null; // constant properties: size, obstacles, the player's own name
let scene = { players: [], pickups: [], at: 0 };
let before = scene;
let walker = null;
let restarting = false; // the server announced its shutdown, and is not back yet
const held = new Set();
let finger = null;
const history = new Map();

// -- login and logout -----------------------------------------------------------------------------

const listeners = {
  scene: (players, pickups) => {
    before = scene;
    scene = { players, pickups, at: performance.now() };
    const me = players.find(([name]) => name === world?.name);
    if (me) $("#score").textContent = me[3];
  },
  said: addTalk,
  figures: showFigures,
  slow: () => showStatus("The server is busy: still waiting for its answer."),
  reconnecting: (error, seconds) => {
    const when = seconds >= 1 ? ` Trying again in ${Math.ceil(seconds)} s.` : " Trying again.";
    restarting ||= error.code === "drained";
    showStatus((restarting ? "The server is restarting." : "The connection was lost.") + when);
  },
  reconnected: async () => {
    showStatus(null);
    await enterWorld();
  },
  closed: (error) => leave(farewell(error)),
};

function farewell(error) {
  switch (error.code) {
    case "logout": return null;
    case "kicked": return `You were kicked: ${error.message}`;
    case "replaced": return "You logged in from another place.";
    case "revoked": return "Your account was closed, or its password was changed.";
    case "idle": return "You were inactive for too long.";
    case "expired": case "proof-expired": return "Your session has expired. Please log in again.";
    default: return refusal(error);
  }
}

function refusal(error) {
  switch (error.code) {
    case "refused": return "Name or password is wrong.";
    case "denied": {
      const wait = error.retryAfter ? ` Try again in ${Math.ceil(error.retryAfter)} s.` : "";
      return `The arena is full, or there were too many attempts.${wait}`;
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

async function comeIn(secrets) {
  const buttons = document.querySelectorAll("#login button");
  buttons.forEach((button) => (button.disabled = true));
  $("#refusal").hidden = true;
  try {
    client = await connect("rpc/socket", { ...secrets, listeners, client: ["arena page", "1"] });
    await enterWorld();
  } catch (error) {
    leave(refusal(error));
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

async function enterWorld() {
  restarting = false;
  showStatus(null);
  world = await client.call("watch");
  scene = before = { players: [], pickups: [], at: 0 };
  $("#name").textContent = world.name;
  $("#gate").hidden = true;
  for (const id of ["#arena", "#you", "#leave"]) $(id).hidden = false;
  $("#world").focus();
  await showPeople();
}

function leave(message) {
  client = null;
  world = null;
  showStatus(null);
  for (const id of ["#arena", "#you", "#leave"]) $(id).hidden = true;
  $("#gate").hidden = false;
  $("#refusal").textContent = message ?? "";
  $("#refusal").hidden = !message;
  $("#talk").replaceChildren();
  history.clear();
  $("#username").focus();
}

function showStatus(text) {
  $("#status").textContent = text ?? "";
  $("#status").hidden = text === null;
}

$("#login").addEventListener("submit", (event) => {
  event.preventDefault();
  const username = $("#username").value.trim();
  if (username === "") {
    $("#refusal").textContent = "Type a name, or come as a guest.";
    $("#refusal").hidden = false;
    $("#username").focus();
    return;
  }
  comeIn({ username, password: $("#password").value });
  $("#password").value = "";
});
$("#guest").addEventListener("click", () => comeIn({}));
$("#leave").addEventListener("click", () => client?.close());

// -- walking --------------------------------------------------------------------------------------

function keyOf(event) {
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

$("#world").addEventListener("keydown", (event) => {
  const key = keyOf(event);
  if (!(key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  held.add(key);
  walk();
});
addEventListener("keyup", (event) => held.delete(keyOf(event)));
$("#world").addEventListener("blur", () => held.clear());

for (const kind of ["pointerdown", "pointermove"]) {
  $("#world").addEventListener(kind, (event) => {
    if (kind === "pointerdown") $("#world").setPointerCapture(event.pointerId);
    else if (finger === null) return;
    const box = $("#world").getBoundingClientRect();
    finger = [event.clientX - box.left - box.width / 2, box.top + box.height / 2 - event.clientY];
    walk();
  });
}
for (const kind of ["pointerup", "pointercancel"]) {
  $("#world").addEventListener(kind, () => (finger = null));
}

/** Move one step now, and one at each tick as long as a key or pointer is held. */
function walk() {
  if (walker !== null) return;
  const step = () => {
    const [dx, dy] = direction();
    if ((dx === 0 && dy === 0) || world === null) {
      clearInterval(walker);
      walker = null;
    } else {
      client?.notify("move", dx * STEP, dy * STEP);
    }
  };
  walker = setInterval(step, (world?.tick ?? 0.1) * 1000);
  step();
}

function direction() {
  let [dx, dy] = finger ?? [0, 0];
  for (const key of held) {
    dx += KEYS[key][0];
    dy += KEYS[key][1];
  }
  const length = Math.hypot(dx, dy);
  return length < 0.01 ? [0, 0] : [dx / length, dy / length];
}

// -- talk and the list of players -----------------------------------------------------------------

function addTalk(name, text) {
  const talk = $("#talk");
  const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 30;
  const line = document.createElement("li");
  const speaker = document.createElement("b");
  speaker.textContent = name;
  line.append(speaker, " ", text);
  talk.append(line);
  while (talk.children.length > TALK_KEPT) talk.firstChild.remove();
  if (atEnd) talk.scrollTop = talk.scrollHeight;
}

$("#say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("#text").value.trim();
  if (text && client?.notify("say", text)) $("#text").value = "";
});

async function showPeople() {
  if (client === null || document.hidden) return;
  const people = await client.call("who").catch(() => null);
  if (people === null) return;
  $("#list").replaceChildren(...people.map(([name, score]) => {
    const entry = document.createElement("li");
    entry.classList.toggle("me", name === world?.name);
    for (const text of [name, score]) {
      entry.append(Object.assign(document.createElement("span"), { textContent: text }));
    }
    return entry;
  }));
}
setInterval(showPeople, 3000);

// -- figures and the world ------------------------------------------------------------------------

function showFigures(values) {
  $("#count").textContent = `(${values.sessions})`;
  for (const cell of document.querySelectorAll("[data-figure]")) {
    const value = values[cell.dataset.figure];
    const points = history.get(cell) ?? [];
    points.push(value);
    if (points.length > POINTS_KEPT) points.shift();
    history.set(cell, points);
    cell.textContent = value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
    drawChart(cell.parentElement.querySelector("canvas"), points);
  }
}

/** Describe what the canvas shows, for screen readers. */
function describeSurroundings() {
  const me = scene.players.find(([name]) => name === world?.name);
  if (!me) return;
  const distance = (x, y) => Math.hypot(x - me[1], y - me[2]);
  const near = scene.players.filter(
    (player) => player !== me && distance(player[1], player[2]) < 4,
  );
  const [gold] = scene.pickups
    .map(([x, y]) => [distance(x, y), x - me[1], y - me[2]])
    .sort((a, b) => a[0] - b[0]);
  const names = near.slice(0, 5).map(([name]) => name).join(", ") || "nobody";
  const way = gold
    ? `Nearest gold: ${Math.round(gold[0])} steps ${compass(gold[1], gold[2])}.`
    : "No gold in view.";
  $("#surroundings").textContent = `Near you: ${names}. ${way}`;
}
setInterval(describeSurroundings, 1000);

function compass(dx, dy) {
  const names = [
    "east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east",
  ];
  return names[(Math.round(Math.atan2(dy, dx) / (Math.PI / 4)) + 8) % 8];
}

function frame() {
  if (world !== null) drawWorld($("#world"), world, before, scene);
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);

// -- resuming after a reload ----------------------------------------------------------------------

try {
  client = await resume("rpc/socket", { listeners, client: ["arena page", "1"] });
  if (client !== null) await enterWorld();
} catch (error) {
  leave(refusal(error));
}
document.body.dataset.ready = "true";
