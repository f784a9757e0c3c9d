// Figures of the server and of this page, with their last two minutes as plots; behind F2.

import { $, element } from "./common/dom.js";

const KEPT = 120;
const NODE = ["node", "Server that you are at"]; // shown if there are several
const ROWS = [
  ["sessions", "Sessions"],
  ["logins/s", "Logins/s"],
  ["messages/s", "Messages of bots/s"],
  ["tick p50 ms", "Tick, median, ms"],
  ["tick p99 ms", "Tick, p99, ms"],
  ["core %", "Processor, % of a core"],
  ["memory MB", "Memory, MB"],
  ["frames", "Pictures/s here"],
  ["draw", "Drawing, ms"],
];

export class Figures {
  constructor() {
    this.history = new Map();
    $("#figures dl").replaceChildren(...ROWS.map(makeRow));
  }

  toggle() {
    $("#figures").hidden = !$("#figures").hidden;
    for (const cell of document.querySelectorAll("[data-figure]")) this.draw(cell);
  }

  add(values) {
    for (const [key, value] of Object.entries(values)) {
      const points = this.history.get(key) ?? [];
      points.push(value);
      if (points.length > KEPT) points.shift();
      this.history.set(key, points);
      const cell = document.querySelector(`[data-figure="${key}"]`);
      if (key === NODE[0] && !cell) $("#figures dl").append(makeRow(NODE));
      if (cell) this.draw(cell);
    }
  }

  draw(cell) {
    const points = this.history.get(cell.dataset.figure);
    if (!points?.length || $("#figures").hidden) return;
    const value = points.at(-1);
    const rounded = value >= 10 || cell.dataset.figure === NODE[0];
    cell.textContent = rounded ? Math.round(value).toLocaleString("en") : value.toFixed(1);
    plot(cell.parentElement.querySelector("canvas"), points);
  }
}

function makeRow([key, label]) {
  const value = element("dd", {}, "–");
  value.dataset.figure = key;
  return element("div", {}, element("dt", {}, label), value, element("canvas"));
}

function plot(canvas, points) {
  const density = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * density;
  canvas.height = height * density;
  const context = canvas.getContext("2d");
  context.scale(density, density);
  const most = Math.max(...points, 0.001);
  const place = (value, index) => [
    ((index + KEPT - points.length) / (KEPT - 1)) * width,
    height - 2 - (value / most) * (height - 4),
  ];
  context.beginPath();
  points.forEach((value, index) => context.lineTo(...place(value, index)));
  context.strokeStyle = "#8fd3ff";
  context.lineWidth = 1.5;
  context.stroke();
  context.lineTo(width, height);
  context.lineTo(place(0, 0)[0], height);
  context.fillStyle = "rgba(143, 211, 255, 0.18)";
  context.fill();
}
