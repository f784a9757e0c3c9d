// The page of the game: draws the world, and sends steps.

import { start } from "./session.js";

const SQUARE = 32;
const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1],
};
const field = document.querySelector("#field");
const scores = document.querySelector("#scores");
const players = new Map(); // name -> [x, y, gold]
let gold = [0, 0];
let myself = "";
let client = null;

const listeners = {
  you: (name) => (myself = name),
  world([width, height], everyone, piece) {
    field.width = width * SQUARE;
    field.height = height * SQUARE;
    players.clear();
    for (const [name, ...body] of everyone) players.set(name, body);
    gold = piece;
    draw();
  },
  moved: (name, ...body) => (players.set(name, body), draw()),
  gold: (...square) => ((gold = square), draw()),
  left: (name) => (players.delete(name), draw()),
};

function draw() {
  const canvas = field.getContext("2d");
  canvas.clearRect(0, 0, field.width, field.height);
  disc(canvas, gold, 0.25, "#e0a800");
  for (const [name, [x, y]] of players) disc(canvas, [x, y], 0.45, colour(name));
  for (const [name, [x, y]] of players) write(canvas, name, x, y);
  const best = [...players].sort(([, a], [, b]) => b[2] - a[2]);
  scores.replaceChildren(...best.map(([name, [, , count]]) => {
    const item = document.createElement("li");
    item.textContent = `${name}: ${count}`;
    item.className = name === myself ? "me" : "";
    return item;
  }));
}

function disc(canvas, [x, y], radius, style) {
  canvas.fillStyle = style;
  canvas.beginPath();
  canvas.arc((x + 0.5) * SQUARE, (y + 0.5) * SQUARE, radius * SQUARE, 0, 2 * Math.PI);
  canvas.fill();
}

/** Write a name above its player, or below at the top; never beyond the field. */
function write(canvas, name, x, y) {
  const size = (14 * field.width) / (field.clientWidth || field.width);
  canvas.font = `${size}px system-ui, sans-serif`;
  canvas.fillStyle = getComputedStyle(field).color;
  const width = canvas.measureText(name).width;
  const left = Math.max(0, Math.min((x + 0.5) * SQUARE - width / 2, field.width - width));
  canvas.fillText(name, left, y === 0 ? SQUARE + size : y * SQUARE - 4);
}

function colour(name) {
  const sum = [...name].reduce((all, letter) => (all * 31 + letter.codePointAt(0)) % 360, 7);
  return `hsl(${sum * 137} 65% 50%)`;
}

function walk(step) {
  client?.call("walk", ...step).catch(() => {}); // the page shows a lost connection
}

document.addEventListener("keydown", (event) => {
  const step = KEYS[event.key];
  if (step === undefined || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  walk(step);
});
for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => walk(button.dataset.step.split(",").map(Number)));
}

start(listeners, (logged) => (client = logged), () => (client = null));
