// The arena's page: joins connection, world, picture, input and words. The rules are on the server.

import { Camera } from "./camera.js";
import { $, show } from "./common/dom.js";
import { farewell } from "./common/words.js";
import { Figures } from "./figures.js";
import { Gate } from "./gate.js";
import { Hud } from "./hud.js";
import { Input } from "./input.js";
import { Minimap } from "./minimap.js";
import { goOn, play, spectate } from "./net.js";
import { describe } from "./describe.js";
import { happen } from "./happenings.js";
import { TEAMS } from "./palette.js";
import { Scene } from "./scene.js";
import { Sound } from "./sound.js";
import { Talk } from "./talk.js";
import { Walker } from "./walker.js";
import { World } from "./world.js";

const STEER_EVERY = 50; // milliseconds between two changes of direction that are sent
const MAP_EVERY = 100;
const MEASURED = 600; // pictures whose times are kept
const UNKNOWN = { wish: [9, 9], at: 0 }; // unlike any direction, so that the next one is sent
const GUEST = /^guest \d+$/;

const camera = new Camera();
const scene = new Scene($("#world"), camera);
const minimap = new Minimap($("#map"));
const sound = new Sound($("#mute"));
const hud = new Hud();
const figures = new Figures();
const talk = new Talk((text) => player?.notify("say", text) ?? false);
const gate = new Gate(enter, signUp);
const commands = {
  dash,
  talk: () => player && talk.open(),
  back: () => talk.close() || (player && $("#chat-button").focus()),
  board: () => player && ($("#board").open ? $("#board").close() : $("#board").showModal()),
  mute: () => sound.toggle(),
  figures: () => figures.toggle(),
  zoom: (factor) => camera.zoomBy(factor),
};
const input = new Input($("#world"), $("#stick"), commands);

let player = null; // the client that plays
let spectator = null; // the client that watches, while no one plays
let world = null;
let walker = new Walker();
let wish = [0, 0];
let sent = UNKNOWN; // the direction that the server knows
let dashReady = 0;
let restarting = false; // the server announced its shutdown, and is not back yet
let crossing = false; // the player has walked to another server, which the picture must not show
const measured = { times: [], frames: 0, since: performance.now() }; // of drawing, milliseconds

// For the console of the browser, and for tests.
globalThis.arena = { scene, camera, measured, get world() { return world; } };

// -- what the server says -------------------------------------------------------------------------

/** Listeners for a client; `isCurrent` says whether it is the one that is shown. */
function hear(isCurrent) {
  const only = (listener) => (...args) => isCurrent() && world && listener(...args);
  return {
    frame: only((...frame) => {
      const events = world.frame(...frame, performance.now());
      for (const event of events) happen(event, { world, scene, sound, hud, talk, camera });
    }),
    board: only((board) => {
      hud.showBoard(board, world.land.name);
      world.chest = board.chest;
      gate.showPlayers(board);
    }),
    rank: only((...rank) => hud.setPoints(...rank)),
    round: only((round) => {
      world.round = round;
      hud.showResult(world);
      if (player === null) return;
      if (round.phase === "play") {
        sound.roundBegins();
        hud.say("A new round: gather gold!", performance.now());
      } else celebrate(round.result.winners.includes(world.me?.team));
    }),
    figures: only((values) => figures.add(values)),
    news: only((text) => hud.say(text, performance.now())),
  };
}

const listeners = {
  ...hear(() => player !== null),
  slow: () => show($("#status"), "The server is busy: still waiting for its answer."),
  reconnecting: (error, seconds) => {
    crossing = error.code === "moved";
    if (crossing) {
      player.reconnectNow();
      return;
    }
    const when = seconds >= 1 ? ` Trying again in ${Math.ceil(seconds)} s.` : " Trying again.";
    restarting ||= error.code === "drained";
    const what = restarting ? "The server is restarting." : "The connection was lost.";
    show($("#status"), what + when);
  },
  reconnected: () => watch(player).catch(() => {}), // lost again: the client tries once more
  closed: (error) => player !== null && leave(farewell(error, "arena")),
};

// -- coming and going -----------------------------------------------------------------------------

async function enter(secrets) {
  try {
    await join(await play(secrets, listeners));
  } catch (error) {
    show($("#status"), null);
    throw error;
  }
}

async function join(client) {
  player = client;
  try {
    await watch(client);
  } catch (error) {
    player = null;
    client.close();
    throw error;
  }
  spectator?.close();
  spectator = null;
  gate.close();
  talk.clear();
  $("#hud").hidden = false;
  $("#keep").hidden = !GUEST.test(world.land.name);
  $("#world").focus();
}

/** Show the world as a client sees it, from the start or after a lost connection. */
async function watch(client) {
  restarting = false;
  show($("#status"), null);
  const land = await client.call("watch");
  if (crossing && world !== null) goOnWith(land);
  else begin(land);
}

/** Go on after the player has walked to another server: the world is the same. */
function goOnWith(land) {
  crossing = false;
  world.renew(land);
  world.chest = land.board.chest;
  sent = UNKNOWN;
}

function begin(land) {
  crossing = false;
  world = new World(land);
  world.chest = land.board.chest;
  walker = new Walker();
  sent = UNKNOWN;
  scene.enter(world);
  minimap.enter(land);
  if (land.name !== null) hud.enter(world);
  hud.showBoard(land.board, land.name);
  hud.showResult(world);
  gate.showPlayers(land.board);
}

function leave(message) {
  player = null;
  world = null;
  show($("#status"), null);
  $("#hud").hidden = true;
  $("#result").hidden = true;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  talk.clear();
  gate.open(message);
  lookOn();
}

/** Watch as a spectator, behind the gate. The game can be entered without, so it fails silently. */
async function lookOn() {
  try {
    const client = await spectate(hear(() => player === null && spectator !== null));
    if (player !== null) {
      client.close();
      return;
    }
    spectator = client;
    client.on("reconnected", () => player === null && watch(client).catch(() => {}));
    client.on("closed", () => (spectator = spectator === client ? null : spectator));
    await watch(client);
  } catch {
    $("#players").textContent = "";
  }
}

/** Make an account, and play with it: a guest goes on with its points. */
async function signUp(username, password) {
  const client = player ?? spectator ?? (await spectate({}));
  await client.call("sign_up", username, password);
  if (client !== player && client !== spectator) client.close();
  const guest = player;
  player = null; // so that the end of the guest's session is not the end of the game
  await guest?.close();
  await gate.comeIn({ username, password });
}

$("#leave").addEventListener("click", () => player?.close());
$("#mute").addEventListener("click", () => sound.toggle());
$("#board-button").addEventListener("click", commands.board);
$("#chat-button").addEventListener("click", commands.talk);
$("#board").addEventListener("close", () => $("#world").focus());
$("#board").addEventListener("keydown", (event) => {
  if (event.key === "Tab") $("#board").close();
});
$("#world").addEventListener("contextmenu", (event) => event.preventDefault());
$("#dash").addEventListener("pointerdown", dash);
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => sound.start());
if (matchMedia("(pointer: coarse)").matches) $("#dash").hidden = false;

/** Show and sound how the round ended for the own team. */
function celebrate(won) {
  sound.roundEnds(won);
  if (!won || world.me === null) return;
  for (const { main: colour } of TEAMS) {
    scene.effects.burst(world.me.x, world.me.y, { count: 40, colour, up: 9, speed: 6, life: 2 });
  }
}

// -- playing --------------------------------------------------------------------------------------

function dash() {
  const now = performance.now();
  if (player === null || now < dashReady) return;
  const pause = world.land.pause * 1000;
  dashReady = now + pause;
  player.notify("dash");
  sound.dash();
  $("#dash").classList.add("spent");
  setTimeout(() => $("#dash").classList.remove("spent"), pause);
}

/** Send the direction if it has changed, and not too often. */
function steer(now) {
  if (document.hidden) return; // a last picture may come after the event
  const me = world.me;
  wish = input.direction(me ? camera.toScreen(me.x, me.y) : null);
  const changed = Math.hypot(wish[0] - sent.wish[0], wish[1] - sent.wish[1]) > 0.04;
  if (!changed || now - sent.at < STEER_EVERY) return;
  if (player.notify("move", ...wish)) sent = { wish, at: now };
}

// No pictures are drawn of a hidden page, so no keys are looked at: the player stands.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && player?.notify("move", 0, 0)) sent = UNKNOWN;
});

let before = performance.now();
let mapAt = 0;
function picture(now) {
  requestAnimationFrame(picture);
  const seconds = Math.min(0.1, Math.max(0, (now - before) / 1000));
  before = now;
  if (world === null) return;
  const started = performance.now();
  world.advance(started);
  if (player !== null) {
    steer(now);
    walker.step(world, wish, seconds);
  }
  camera.follow(world.me, seconds);
  const depth = scene.sky.advance(world, camera, scene.effects, seconds);
  scene.draw(world, seconds, started);
  if (player !== null) {
    hud.update(world, started);
    sound.blow(Math.min(1, Math.max(0, (depth + 10) / 12)));
    if (started - mapAt > MAP_EVERY) {
      mapAt = started;
      minimap.draw(world, world.chest);
    }
  }
  measured.frames += 1;
  measured.times.push(performance.now() - started);
  if (measured.times.length > MEASURED) measured.times.shift();
}
requestAnimationFrame(picture);

setInterval(() => {
  const now = performance.now();
  const seconds = (now - measured.since) / 1000;
  const recent = measured.times.slice(-measured.frames);
  const drawing = recent.reduce((sum, time) => sum + time, 0) / Math.max(1, recent.length);
  figures.add({ frames: measured.frames / seconds, draw: drawing });
  Object.assign(measured, { frames: 0, since: now });
  if (world !== null) $("#surroundings").textContent = describe(world);
}, 1000);

// -- resuming after a reload ----------------------------------------------------------------------

try {
  const client = await goOn(listeners);
  if (client === null) gate.open(null);
  else await join(client);
} catch (error) {
  gate.open(farewell(error, "arena"));
}
if (player === null) lookOn();
document.body.dataset.ready = "true";
