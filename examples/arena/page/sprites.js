// Small pictures that are drawn often, each painted once: players, trees, gold, flags.

import { luck } from "./noise.js";
import { GOLD, INK, TEAMS } from "./palette.js";

const FACINGS = 8;
const STEPS = 4; // pictures of a walk
const SKIN = ["#f1c9a5", "#d9a577", "#a9744a", "#7a5030"];
const HAIR = ["#3b2a1c", "#6b4423", "#c79a4b", "#1f1c1c"];

export class Sprites {
  constructor() {
    this.kept = new Map();
    this.unit = 0;
  }

  /**
   * Pixels of one step in the pictures. Another size makes them anew, but not for each picture of
   * a zoom: until it has settled, they are stretched.
   */
  resize(unit, settled) {
    const ratio = unit / this.unit;
    if (Math.abs(ratio - 1) < (settled ? 0.001 : 0.3)) return;
    this.unit = unit;
    this.kept.clear();
  }

  /** A picture of width and height in steps, whose middle of the ground is at (0, 0). */
  make(key, width, height, paint) {
    let sprite = this.kept.get(key);
    if (sprite === undefined) {
      const canvas = document.createElement("canvas");
      canvas.width = Math.ceil(width * this.unit);
      canvas.height = Math.ceil(height * this.unit);
      const context = canvas.getContext("2d");
      context.scale(this.unit, this.unit);
      context.translate(width / 2, height * 0.8);
      context.lineJoin = context.lineCap = "round";
      paint(context);
      sprite = { canvas, left: width / 2, top: height * 0.8, width, height };
      if (this.kept.size > 1200) this.kept.clear();
      this.kept.set(key, sprite);
    }
    return sprite;
  }

  player(team, look, heading, step, number) {
    const facing = Math.round(heading / (256 / FACINGS)) % FACINGS;
    const person = number % SKIN.length;
    const key = `player ${team} ${look} ${facing} ${step} ${person}`;
    return this.make(key, 2, 2.4, (context) =>
      paintPlayer(context, { team, look, angle: (facing / FACINGS) * 2 * Math.PI, step, person }));
  }

  bag(load) {
    const size = load >= 8 ? 3 : load >= 4 ? 2 : 1;
    return this.make(`bag ${size}`, 1.4, 1.6, (context) => paintBag(context, 0.2 + size * 0.07));
  }

  tree(kind) {
    return this.make(`tree ${kind}`, 3.4, 4.4, (context) => paintTree(context, kind));
  }

  gold(amount, glint) {
    const size = amount >= 8 ? 3 : amount >= 3 ? 2 : 1;
    return this.make(`gold ${size} ${glint}`, 1.8, 1.8, (context) =>
      size === 3 ? paintChest(context, glint) : paintGold(context, size, glint));
  }

  flag(team, wave) {
    return this.make(`flag ${team} ${wave}`, 3.4, 4.6, (context) => paintFlag(context, team, wave));
  }

  shadow() {
    return this.make("shadow", 1.6, 1, (context) => {
      context.fillStyle = "rgba(15, 20, 25, 0.3)";
      ellipse(context, 0.06, -0.02, 0.44, 0.2);
    });
  }
}

export const walkStep = (body) => (body.speed > 2 ? Math.floor(body.walked * 2.4) % STEPS : 0);
export const TREES = 5;
export const treeKind = (column, row) => Math.floor(luck(column, row, 7) * TREES);

function paintPlayer(context, { team, look, angle, step, person }) {
  const side = Math.cos(angle), down = Math.sin(angle);
  const colours = TEAMS[team];
  const swing = [0, 0.13, 0, -0.13][step];
  const bob = step % 2 ? -0.05 : 0;
  context.strokeStyle = INK;
  for (const leg of [-1, 1]) {
    context.lineWidth = 0.17;
    const [x, y] = [swing * leg * side, swing * leg * down * 0.5];
    line(context, leg * 0.13, -0.32, leg * 0.13 + x, -0.06 + y);
  }
  context.translate(0, bob);
  const front = down > -0.3;
  if (look === "hunter" || look === "guard") paintCape(context, colours, front);
  body(context, colours, look);
  for (const arm of [-1, 1]) {
    context.strokeStyle = colours.dark;
    context.lineWidth = 0.14;
    line(context, arm * 0.29, -0.72, arm * 0.33 - swing * arm * side * 0.7, -0.47);
  }
  context.fillStyle = SKIN[person];
  context.strokeStyle = INK;
  context.lineWidth = 0.055;
  outlined(context, () => context.arc(side * 0.05, -1.08, 0.26, 0, 2 * Math.PI));
  if (front) {
    context.fillStyle = INK;
    for (const eye of [-1, 1]) {
      ellipse(context, side * 0.16 + eye * 0.095 * (1 - Math.abs(side) * 0.45), -1.06 + down * 0.05,
        0.035, 0.052);
    }
  }
  HATS[look](context, { colours, side, front, person });
}

function body(context, colours, look) {
  context.fillStyle = colours.main;
  context.strokeStyle = INK;
  context.lineWidth = 0.06;
  outlined(context, () => context.roundRect(-0.29, -0.9, 0.58, 0.62, [0.24, 0.24, 0.12, 0.12]));
  context.fillStyle = colours.light;
  context.globalAlpha = 0.55;
  ellipse(context, -0.1, -0.74, 0.12, 0.1);
  context.globalAlpha = 1;
  context.fillStyle = look === "guard" ? "#c9ced6" : colours.dark;
  context.fillRect(-0.28, -0.45, 0.56, 0.09);
}

function paintCape(context, colours, front) {
  if (!front) return;
  context.fillStyle = colours.dark;
  context.strokeStyle = INK;
  context.lineWidth = 0.05;
  outlined(context, () => {
    context.moveTo(-0.26, -0.86);
    context.quadraticCurveTo(-0.5, -0.4, -0.4, -0.16);
    context.lineTo(0.4, -0.16);
    context.quadraticCurveTo(0.5, -0.4, 0.26, -0.86);
    context.closePath();
  });
}

const HATS = {
  person(context, { side, front, person }) {
    context.fillStyle = HAIR[person];
    context.strokeStyle = INK;
    context.lineWidth = 0.05;
    outlined(context, () => {
      if (front) context.arc(side * 0.03, -1.13, 0.27, Math.PI * 1.0, Math.PI * 2.0);
      else context.arc(side * 0.05, -1.1, 0.27, 0, 2 * Math.PI);
    });
    context.fillStyle = GOLD;
    outlined(context, () => {
      context.moveTo(-0.19, -1.27);
      for (const [x, y] of [[-0.22, -1.52], [-0.09, -1.4], [0, -1.57], [0.09, -1.4],
        [0.22, -1.52], [0.19, -1.27]]) context.lineTo(x, y);
      context.closePath();
    });
  },
  gatherer(context, { side }) {
    context.strokeStyle = INK;
    context.lineWidth = 0.05;
    context.fillStyle = "#e2bd62";
    outlined(context, () => context.ellipse(side * 0.05, -1.2, 0.42, 0.15, 0, 0, 2 * Math.PI));
    outlined(context, () =>
      context.ellipse(side * 0.05, -1.28, 0.2, 0.16, 0, Math.PI, 2 * Math.PI));
  },
  guard(context, { colours, side, front }) {
    context.fillStyle = "#b9c1cc";
    context.strokeStyle = INK;
    context.lineWidth = 0.05;
    outlined(context, () => {
      context.arc(side * 0.05, -1.12, 0.29, Math.PI * (front ? 0.95 : 0.8), Math.PI * 2.05);
      context.closePath();
    });
    context.strokeStyle = colours.main;
    context.lineWidth = 0.1;
    line(context, side * 0.05, -1.4, side * 0.05 - side * 0.16, -1.55);
  },
  hunter(context, { side, front, colours }) {
    context.fillStyle = colours.dark;
    context.strokeStyle = INK;
    context.lineWidth = 0.05;
    outlined(context, () => {
      context.moveTo(-0.3 + side * 0.05, -0.98);
      context.quadraticCurveTo(-0.38, -1.45, side * 0.05, -1.5);
      context.quadraticCurveTo(0.38, -1.45, 0.3 + side * 0.05, -0.98);
      if (front) context.quadraticCurveTo(side * 0.12, -1.4, -0.3 + side * 0.05, -0.98);
      context.closePath();
    });
  },
  wanderer(context, { side, colours }) {
    context.fillStyle = colours.dark;
    context.strokeStyle = INK;
    context.lineWidth = 0.05;
    outlined(context, () => {
      context.moveTo(-0.3, -1.18);
      context.quadraticCurveTo(0, -1.62, 0.3, -1.18);
      context.closePath();
    });
    context.strokeStyle = "#f5f0e4";
    context.lineWidth = 0.06;
    line(context, 0.14 - side * 0.1, -1.28, 0.3 - side * 0.2, -1.58);
  },
};

function paintBag(context, size) {
  context.fillStyle = "#9c6b3c";
  context.strokeStyle = INK;
  context.lineWidth = 0.05;
  outlined(context, () => context.ellipse(0, -size, size * 1.05, size, 0, 0, 2 * Math.PI));
  context.fillStyle = GOLD;
  outlined(context, () =>
    context.ellipse(0, -size * 1.85, size * 0.5, size * 0.26, 0, 0, 2 * Math.PI));
}

function paintTree(context, kind) {
  context.fillStyle = "rgba(15, 25, 15, 0.28)";
  ellipse(context, 0.15, -0.05, 1.05, 0.42);
  context.fillStyle = "#6d4a2d";
  context.strokeStyle = "#3d2817";
  context.lineWidth = 0.06;
  outlined(context, () => context.roundRect(-0.16, -0.9, 0.32, 0.95, 0.1));
  const hue = ["#3f7a3a", "#4a8a3e", "#2f6a46", "#5a8f3a", "#39703f"][kind];
  if (kind === 2 || kind === 4) {
    context.strokeStyle = "#1f4527";
    for (const [y, width] of [[-0.55, 1.0], [-1.15, 0.82], [-1.75, 0.6]]) {
      context.fillStyle = hue;
      outlined(context, () => {
        context.moveTo(-width, y);
        context.quadraticCurveTo(0, y + 0.24, width, y);
        context.lineTo(0, y - 1.15);
        context.closePath();
      });
    }
    context.fillStyle = "rgba(255, 255, 220, 0.14)";
    context.beginPath();
    context.moveTo(-0.5, -1.75);
    context.lineTo(0, -2.85);
    context.lineTo(0, -0.7);
    context.fill();
    return;
  }
  context.strokeStyle = "#234a22";
  context.fillStyle = hue;
  outlined(context, () => {
    for (const [x, y, radius] of [[-0.6, -1.25, 0.6], [0.6, -1.25, 0.6], [0, -1.85, 0.72],
      [0, -1.2, 0.7]]) {
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
  });
  context.beginPath();
  context.fillStyle = hue;
  for (const [x, y, radius] of [[-0.6, -1.25, 0.57], [0.6, -1.25, 0.57], [0, -1.85, 0.69],
    [0, -1.2, 0.7]]) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 2 * Math.PI);
  }
  context.fill();
  context.fillStyle = "rgba(255, 255, 210, 0.17)";
  ellipse(context, -0.22, -2.05, 0.4, 0.3);
  ellipse(context, -0.72, -1.42, 0.26, 0.2);
}

function paintGold(context, size, glint) {
  const places = size === 1 ? [[0, 0]] : [[-0.24, 0.02], [0.24, 0.02], [0, -0.16], [0, 0.14]];
  context.fillStyle = "rgba(15, 20, 25, 0.26)";
  ellipse(context, 0.04, 0.02, 0.3 * size, 0.12 * size);
  for (const [x, y] of places) {
    context.fillStyle = "#b57c12";
    ellipse(context, x, y - 0.06, 0.25, 0.2);
    context.fillStyle = GOLD;
    ellipse(context, x, y - 0.13, 0.25, 0.19);
    context.fillStyle = "#fff0b3";
    ellipse(context, x - 0.07, y - 0.17, 0.09, 0.06);
  }
  if (glint) sparkle(context, 0.16, -0.3, 0.24);
}

function paintChest(context, glint) {
  context.fillStyle = "rgba(15, 20, 25, 0.3)";
  ellipse(context, 0.05, 0.06, 0.75, 0.24);
  context.strokeStyle = INK;
  context.lineWidth = 0.06;
  context.fillStyle = "#8b5a2b";
  outlined(context, () => context.roundRect(-0.6, -0.5, 1.2, 0.6, 0.08));
  context.fillStyle = GOLD;
  outlined(context, () => context.ellipse(0, -0.52, 0.52, 0.24, 0, 0, 2 * Math.PI));
  context.fillStyle = "#a96f38";
  outlined(context, () => context.roundRect(-0.62, -1.02, 1.24, 0.36, [0.3, 0.3, 0.05, 0.05]));
  context.fillStyle = "#e9c65c";
  context.fillRect(-0.09, -0.4, 0.18, 0.26);
  if (glint) sparkle(context, 0.3, -0.75, 0.4);
}

function paintFlag(context, team, wave) {
  const { main, dark, light } = TEAMS[team];
  context.fillStyle = "rgba(15, 20, 25, 0.3)";
  ellipse(context, 0.1, 0, 0.5, 0.2);
  context.fillStyle = "#8d8578";
  for (const [x, y] of [[-0.3, 0], [0.3, 0.02], [0, 0.12], [-0.15, -0.12], [0.18, -0.1]]) {
    ellipse(context, x, y, 0.2, 0.14);
  }
  context.strokeStyle = "#4a3520";
  context.lineWidth = 0.13;
  line(context, 0, 0, 0, -3.3);
  context.fillStyle = main;
  context.strokeStyle = dark;
  context.lineWidth = 0.06;
  const lift = Math.sin((wave / 6) * 2 * Math.PI) * 0.14;
  outlined(context, () => {
    context.moveTo(0.06, -3.25);
    context.bezierCurveTo(0.5, -3.45 + lift, 0.9, -3.0 - lift, 1.5, -3.2 + lift);
    context.lineTo(1.2, -2.75 + lift);
    context.lineTo(1.5, -2.3 + lift);
    context.bezierCurveTo(0.9, -2.1 - lift, 0.5, -2.55 + lift, 0.06, -2.35);
    context.closePath();
  });
  context.fillStyle = light;
  context.globalAlpha = 0.8;
  ellipse(context, 0.62, -2.78 + lift * 0.4, 0.17, 0.17);
  context.globalAlpha = 1;
  context.fillStyle = GOLD;
  ellipse(context, 0, -3.36, 0.12, 0.12);
}

function sparkle(context, x, y, size) {
  context.fillStyle = "#fffbe0";
  context.beginPath();
  for (let corner = 0; corner < 8; corner++) {
    const radius = corner % 2 ? size * 0.22 : size;
    const angle = (corner / 8) * 2 * Math.PI;
    context.lineTo(x + Math.cos(angle) * radius, y + Math.sin(angle) * radius);
  }
  context.fill();
}

function outlined(context, path) {
  context.beginPath();
  path();
  context.fill();
  context.stroke();
}

function ellipse(context, x, y, width, height) {
  context.beginPath();
  context.ellipse(x, y, width, height, 0, 0, 2 * Math.PI);
  context.fill();
}

function line(context, x, y, toX, toY) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(toX, toY);
  context.stroke();
}
