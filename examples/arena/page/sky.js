// Light and weather: the day passes with the round, and the storm comes in from outside.

const DETAIL = 6; // the light is painted this much smaller than the picture

// The share of the round, the colour of the light, and how much of it there is.
const HOURS = [
  [0.0, [255, 196, 120], 0.16],
  [0.12, [255, 240, 210], 0.0],
  [0.5, [255, 255, 255], 0.0],
  [0.66, [255, 170, 90], 0.14],
  [0.8, [120, 80, 140], 0.3],
  [0.92, [22, 26, 70], 0.5],
  [1.0, [18, 22, 66], 0.55],
];

export class Sky {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
    this.glow = makeGlow();
    this.flash = 0;
    this.time = 0;
  }

  /** The share of the day that has passed. */
  hour(world) {
    const { phase, ends, begins } = world.round;
    if (phase === "rest") return 0;
    return Math.min(1, Math.max(0, (world.tick - begins) / (ends - begins)));
  }

  light(world) {
    const hour = this.hour(world);
    const next = Math.max(1, HOURS.findIndex(([at]) => at >= hour));
    const [from, to] = [HOURS[next - 1], HOURS[next]];
    const share = (hour - from[0]) / (to[0] - from[0]);
    const mix = (a, b) => a + (b - a) * share;
    return {
      colour: from[1].map((value, index) => Math.round(mix(value, to[1][index]))),
      amount: mix(from[2], to[2]),
    };
  }

  advance(world, camera, effects, seconds) {
    this.time += seconds;
    this.flash = Math.max(0, this.flash - seconds * 2.5);
    const depth = world.me ? world.stormDepth(world.me.x, world.me.y) : -99;
    if (depth > -2) {
      if (Math.random() < seconds * 0.25) this.flash = 1;
      for (let drop = 0; drop < 6; drop++) this.rain(camera, effects);
    }
    return depth;
  }

  rain(camera, effects) {
    const x = camera.x + (Math.random() - 0.5) * 36;
    const y = camera.y + (Math.random() - 0.5) * 26;
    effects.add({
      x, y, z: 5, vx: -5, vy: 0, vz: -12, gravity: 0, life: 0.42, age: 0, size: 0.05,
      colour: "rgba(200, 220, 255, 0.8)",
    });
  }

  /** Darken the picture to the hour, with light around fires and the player. */
  draw(context, camera, world) {
    this.drawStorm(context, camera, world);
    const { colour, amount } = this.light(world);
    if (amount > 0.01) this.drawLight(context, camera, world, colour, amount);
    if (this.flash > 0) {
      context.fillStyle = `rgba(235, 240, 255, ${0.35 * this.flash})`;
      context.fillRect(0, 0, camera.width, camera.height);
    }
  }

  drawLight(context, camera, world, colour, amount) {
    const width = Math.ceil(camera.width / DETAIL);
    const height = Math.ceil(camera.height / DETAIL);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    const light = this.context;
    light.globalCompositeOperation = "source-over";
    light.clearRect(0, 0, width, height);
    light.fillStyle = `rgba(${colour.join(", ")}, ${amount})`;
    light.fillRect(0, 0, width, height);
    if (amount > 0.25) {
      light.globalCompositeOperation = "destination-out";
      const flicker = 1 + Math.sin(this.time * 9) * 0.03;
      for (const [, x, y] of world.land.camps) this.hole(light, camera, x, y, 9 * flicker, 0.95);
      if (world.me) this.hole(light, camera, world.me.x, world.me.y, 6, 0.7);
    }
    context.drawImage(this.canvas, 0, 0, width * DETAIL, height * DETAIL);
  }

  hole(light, camera, x, y, radius, strength) {
    if (!camera.sees(x, y, radius)) return;
    const [left, top] = camera.toScreen(x, y).map((value) => value / DETAIL);
    const size = (radius * camera.unit) / DETAIL;
    light.globalAlpha = strength;
    light.drawImage(this.glow, left - size, top - size, size * 2, size * 2);
    light.globalAlpha = 1;
  }

  drawStorm(context, camera, world) {
    const { x, y } = world.round.storm;
    if (world.round.phase !== "play") return;
    const radius = world.stormRadius() * camera.unit;
    const [left, top] = camera.toScreen(x, y);
    const far = Math.hypot(
      Math.max(Math.abs(left), Math.abs(camera.width - left)),
      Math.max(Math.abs(top), Math.abs(camera.height - top)),
    );
    if (far < radius - 4 * camera.unit) return; // it is out of sight
    context.fillStyle = "rgba(38, 48, 74, 0.5)";
    context.beginPath();
    context.rect(0, 0, camera.width, camera.height);
    context.arc(left, top, radius, 0, 2 * Math.PI, true);
    context.fill("evenodd");
    const ring = (width, alpha, out) => {
      context.strokeStyle = `rgba(186, 208, 255, ${alpha})`;
      context.lineWidth = width * camera.unit;
      context.beginPath();
      context.arc(left, top, radius + out * camera.unit, 0, 2 * Math.PI);
      context.stroke();
    };
    for (const width of [3, 2, 1.1]) ring(width, 0.09, width / 2);
    ring(0.12, 0.7, 0);
    for (const [far, length, speed] of [[0.7, 3, 1], [1.5, 5, -0.7], [2.6, 8, 0.5]]) {
      context.setLineDash([camera.unit * length, camera.unit * length * 1.6]);
      context.lineDashOffset = this.time * speed * camera.unit * 6;
      ring(0.08, 0.35, far);
    }
    context.setLineDash([]);
  }
}

function makeGlow() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 128;
  const context = canvas.getContext("2d");
  const gradient = context.createRadialGradient(64, 64, 4, 64, 64, 64);
  gradient.addColorStop(0, "rgba(0, 0, 0, 1)");
  gradient.addColorStop(0.4, "rgba(0, 0, 0, 0.75)");
  gradient.addColorStop(1, "rgba(0, 0, 0, 0)");
  context.fillStyle = gradient;
  context.fillRect(0, 0, 128, 128);
  return canvas;
}
