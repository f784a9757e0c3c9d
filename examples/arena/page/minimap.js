// The map of the whole island: land, camps, the calm that is left, and you.

import { GOLD, LAND, TEAMS } from "./palette.js";

const COLOURS = {
  w: LAND.deep, s: LAND.sand, ".": LAND.grass, ",": LAND.meadow, ":": LAND.forest,
  t: "#47793a", r: LAND.rock, "#": LAND.wall, p: LAND.path, "*": LAND.camp, b: LAND.bridge,
};

export class Minimap {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.ground = null;
  }

  enter(land) {
    const across = land.rows.length;
    this.ground = document.createElement("canvas");
    this.ground.width = this.ground.height = across;
    const context = this.ground.getContext("2d");
    land.rows.forEach((row, y) => {
      for (let x = 0; x < across; x++) {
        context.fillStyle = COLOURS[row[x]];
        context.fillRect(x, y, 1, 1);
      }
    });
  }

  draw(world, chest) {
    const { canvas, context } = this;
    const density = devicePixelRatio || 1;
    const side = canvas.clientWidth;
    if (side === 0) return;
    if (canvas.width !== Math.round(side * density)) {
      canvas.width = canvas.height = Math.round(side * density);
    }
    context.setTransform(density, 0, 0, density, 0, 0);
    context.drawImage(this.ground, 0, 0, side, side);
    const scale = side / world.land.size;
    this.drawStorm(world, scale, side);
    for (const [team, x, y] of world.land.camps) {
      const own = world.me?.team === team && world.land.name !== null;
      this.dot(x * scale, y * scale, own ? 4 : 2.6, TEAMS[team].main, own ? "#fff" : "#0006");
    }
    if (chest !== null) {
      const [x, y] = world.middleOf(chest);
      const pulse = 3.4 + Math.sin(performance.now() / 180);
      this.dot(x * scale, y * scale, pulse, GOLD, "#5b3d00");
    }
    for (const body of world.bodies.values()) {
      if (body.look === "person" && body !== world.me) {
        this.dot(body.x * scale, body.y * scale, 2.2, "#fff", TEAMS[body.team].main);
      }
    }
    if (world.me) this.dot(world.me.x * scale, world.me.y * scale, 4, "#fff", "#000");
  }

  drawStorm(world, scale, side) {
    if (world.round.phase !== "play") return;
    const { context } = this;
    const { x, y, last } = world.round.storm;
    context.fillStyle = "rgba(24, 30, 52, 0.62)";
    context.beginPath();
    context.rect(0, 0, side, side);
    context.arc(x * scale, y * scale, world.stormRadius() * scale, 0, 2 * Math.PI, true);
    context.fill("evenodd");
    context.strokeStyle = "rgba(255, 255, 255, 0.75)";
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.arc(x * scale, y * scale, last * scale, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
  }

  dot(x, y, radius, fill, stroke) {
    const { context } = this;
    context.fillStyle = fill;
    context.strokeStyle = stroke;
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}
