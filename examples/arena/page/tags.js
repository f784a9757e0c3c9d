// Names over heads and bubbles of speech, placed so that none covers another: the nearest first.

import { TEAMS } from "./palette.js";

const BUBBLE = 5.5; // seconds
const MOST_TAGS = 26;
const WIDEST = 210; // pixels of a bubble's text

export class Tags {
  constructor() {
    this.bubbles = new Map();
    this.widths = new Map();
    this.boxes = [];
  }

  say(number, text, now) {
    this.bubbles.set(number, { lines: null, text, until: now + BUBBLE * 1000 + text.length * 30 });
  }

  draw(context, camera, world, now) {
    const taken = (this.boxes = []); // what is covered in this picture
    const me = world.me;
    const middle = me ?? { x: camera.x, y: camera.y };
    const near = [];
    for (const body of world.bodies.values()) {
      const bubble = this.bubbles.get(body.number);
      if (bubble && bubble.until < now) this.bubbles.delete(body.number);
      if (!camera.sees(body.x, body.y, 0)) continue;
      const rank = body === me ? -1 : body.look === "person" ? 0 : 1;
      const distance = (body.x - middle.x) ** 2 + (body.y - middle.y) ** 2;
      near.push({ body, rank, distance });
    }
    near.sort((a, b) => a.rank - b.rank || a.distance - b.distance);
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    for (const { body } of near) this.placeBubble(context, camera, body, taken);
    let left = MOST_TAGS;
    for (const { body } of near) {
      if (left > 0 && this.placeName(context, camera, body, body === me, taken)) left -= 1;
    }
  }

  placeBubble(context, camera, body, taken) {
    const bubble = this.bubbles.get(body.number);
    if (bubble === undefined) return;
    context.font = "500 13px system-ui, sans-serif";
    bubble.lines ??= wrap(context, bubble.text);
    const width = Math.max(...bubble.lines.map((line) => context.measureText(line).width)) + 18;
    const height = bubble.lines.length * 17 + 10;
    const [x, y] = camera.toScreen(body.x, body.y - 1.75);
    const middle = Math.min(camera.width - width / 2 - 6, Math.max(width / 2 + 6, x));
    const box = { left: middle - width / 2, top: y - 24 - height, width, height: height + 4 };
    if (!free(box, taken)) return;
    taken.push(box);
    context.fillStyle = "rgba(252, 250, 244, 0.95)";
    context.beginPath();
    context.roundRect(box.left, box.top, width, height, 9);
    context.moveTo(x - 5, box.top + height);
    context.lineTo(x, box.top + height + 6);
    context.lineTo(x + 5, box.top + height);
    context.fill();
    context.fillStyle = "#1d2430";
    bubble.lines.forEach((line, index) =>
      context.fillText(line, middle, box.top + 19 + index * 17));
  }

  placeName(context, camera, body, isMe, taken) {
    const person = body.look === "person";
    context.font = `${isMe || person ? 700 : 500} ${isMe ? 14 : 12}px system-ui, sans-serif`;
    const text = body.load > 0 ? `${body.name} ${body.load}` : body.name;
    const width = this.width(context, text) + 10;
    const [x, y] = camera.toScreen(body.x, body.y - 1.75);
    const box = { left: x - width / 2, top: y - 15, width, height: 18 };
    if (!free(box, taken)) return false;
    taken.push(box);
    context.fillStyle = isMe ? "rgba(12, 16, 24, 0.8)" : "rgba(12, 16, 24, 0.55)";
    context.beginPath();
    context.roundRect(box.left, box.top, width, 18, 6);
    context.fill();
    context.fillStyle = isMe || person ? "#ffffff" : TEAMS[body.team].light;
    const name = body.load > 0 ? `${body.name} ` : body.name;
    if (body.load > 0) {
      const gold = this.width(context, String(body.load));
      context.textAlign = "left";
      const start = box.left + 5;
      context.fillText(name, start, y - 2);
      context.fillStyle = "#ffd34d";
      context.fillText(body.load, box.left + width - 5 - gold, y - 2);
      context.textAlign = "center";
    } else {
      context.fillText(name, x, y - 2);
    }
    return true;
  }

  width(context, text) {
    const key = context.font + text;
    let width = this.widths.get(key);
    if (width === undefined) {
      if (this.widths.size > 2000) this.widths.clear();
      width = context.measureText(text).width;
      this.widths.set(key, width);
    }
    return width;
  }
}

function free(box, taken) {
  return !taken.some((other) =>
    box.left < other.left + other.width + 2 && other.left < box.left + box.width + 2
    && box.top < other.top + other.height + 2 && other.top < box.top + box.height + 2);
}

function wrap(context, text) {
  const lines = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line ? `${line} ${word}` : word;
    if (line && context.measureText(longer).width > WIDEST) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  lines.push(line);
  return lines.length > 4 ? [...lines.slice(0, 3), `${lines[3]} …`] : lines;
}
