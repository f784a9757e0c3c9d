// The ground: tiles, painted once into square pieces, which are copied to each picture.

import { luck } from "./noise.js";
import { LAND, TEAMS } from "./palette.js";

const PIECE = 8; // tiles per side of a piece
const KEPT = 40; // pieces
const ROUND = 0.55; // radius of the corners of a patch, in tiles
const PER_PICTURE = 2; // pieces painted in one picture at most, so that it is in time

// From the bottom to the top.
const LAYERS = [
  { tiles: "s.,:t#p*b", colour: LAND.foam, grow: 0.42 },
  { tiles: "s.,:t#p*b", colour: LAND.sand, grow: 0.28 },
  { tiles: ".,:t#p*", colour: LAND.grass, grow: 0.2 },
  { tiles: ",", colour: LAND.meadow, grow: 0.16 },
  { tiles: ":t", colour: LAND.forest, grow: 0.18 },
  { tiles: "p#*b", colour: LAND.path, grow: 0.06 },
  { tiles: "*", colour: LAND.camp, grow: 0.22 },
];

export class Land {
  constructor(land) {
    this.land = land;
    this.pieces = new Map();
    this.pixels = 0; // of a tile
  }

  tile(column, row) {
    return this.land.rows[row]?.[column] ?? "w";
  }

  /** The ground of a tile: below a rock it is that of its neighbour. */
  ground(column, row) {
    const tile = this.tile(column, row);
    if (tile !== "r") return tile;
    const beside = this.tile(column - 1, row);
    return ".,:".includes(beside) ? beside : ".";
  }

  /** Copy the ground in sight to a picture. */
  draw(context, camera, density) {
    const side = PIECE * this.land.tile * camera.unit;
    const pixels = Math.round(camera.base * density * this.land.tile);
    if (pixels !== this.pixels) {
      this.pixels = pixels;
      this.pieces.clear();
    }
    context.fillStyle = LAND.deep;
    let budget = PER_PICTURE;
    for (let row = Math.floor(camera.top / side); row * side < camera.top + camera.height; row++) {
      const first = Math.floor(camera.left / side);
      for (let column = first; column * side < camera.left + camera.width; column++) {
        const piece = this.piece(column, row, budget > 0);
        const x = Math.round(column * side) - camera.left;
        const y = Math.round(row * side) - camera.top;
        const width = Math.round((column + 1) * side) - Math.round(column * side);
        const height = Math.round((row + 1) * side) - Math.round(row * side);
        if (piece === null) context.fillRect(x, y, width, height);
        else context.drawImage(piece.canvas, x, y, width, height);
        if (piece?.isNew) {
          piece.isNew = false;
          budget -= 1;
        }
      }
    }
  }

  piece(column, row, mayPaint) {
    const key = `${column} ${row}`;
    let piece = this.pieces.get(key);
    if (piece === undefined && mayPaint) {
      piece = { canvas: this.paint(column * PIECE, row * PIECE), isNew: true };
    }
    if (piece === undefined) return null;
    this.pieces.delete(key); // the piece used last is at the end
    this.pieces.set(key, piece);
    if (this.pieces.size > KEPT) this.pieces.delete(this.pieces.keys().next().value);
    return piece;
  }

  paint(left, top) {
    const size = this.pixels;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = PIECE * size;
    const context = canvas.getContext("2d", { alpha: false });
    context.scale(size, size);
    context.translate(-left, -top);
    context.fillStyle = LAND.deep;
    context.fillRect(left, top, PIECE, PIECE);
    const each = (paint) => {
      for (let row = top - 1; row <= top + PIECE; row++) {
        for (let column = left - 1; column <= left + PIECE; column++) {
          paint(column, row, this.tile(column, row));
        }
      }
    };
    this.paintWater(context, each);
    for (const layer of LAYERS) this.paintLayer(context, each, layer);
    each((column, row, tile) => this.paintDetails(context, column, row, tile));
    this.paintCamps(context);
    return canvas;
  }

  paintWater(context, each) {
    const isNear = (column, row) => [-1, 0, 1].some((dy) =>
      [-1, 0, 1].some((dx) => this.tile(column + dx, row + dy) !== "w"));
    this.fillPatches(context, each, isNear, LAND.shallow, 0.3);
  }

  paintLayer(context, each, { tiles, colour, grow }) {
    const isOne = (column, row) => tiles.includes(this.ground(column, row));
    this.fillPatches(context, each, isOne, colour, grow);
  }

  fillPatches(context, each, isOne, colour, grow) {
    context.fillStyle = colour;
    context.beginPath();
    each((column, row) => {
      if (!isOne(column, row)) return;
      addBlob(context, column, row, grow, (dx, dy) => isOne(column + dx, row + dy));
    });
    context.fill();
  }

  paintDetails(context, column, row, tile) {
    const x = column + luck(column, row, 1);
    const y = row + luck(column, row, 2);
    const chance = luck(column, row, 3);
    if (tile === "." || tile === ",") {
      if (chance < 0.4) tuft(context, x, y, tile === "," ? "#6f9c45" : "#679a41");
      if (tile === "," && chance > 0.5) flowers(context, x, y, column, row);
    } else if (tile === ":") {
      if (chance < 0.6) tuft(context, x, y, "#48763a");
      if (chance > 0.75) mushroom(context, x, y);
    } else if (tile === "w") {
      if (chance < 0.35) wave(context, x, y);
    } else if (tile === "s" || tile === "p" || tile === "*") {
      if (chance < 0.5) pebble(context, x, y, 0.05 + 0.06 * luck(column, row, 4));
    } else if (tile === "b") bridge(context, column, row);
    else if (tile === "r") rock(context, column, row);
    else if (tile === "#") this.paintWall(context, column, row);
  }

  paintWall(context, column, row) {
    const joined = this.tile(column, row + 1) === "#";
    context.fillStyle = "rgba(20, 25, 30, 0.28)";
    context.fillRect(column + 0.08, row + 0.2, 1.06, 0.98);
    context.fillStyle = LAND.wallFront;
    context.fillRect(column, row, 1, 1);
    const top = joined ? 1 : 0.62;
    context.fillStyle = LAND.wall;
    context.fillRect(column, row - 0.06, 1, top);
    context.strokeStyle = "rgba(40, 36, 30, 0.35)";
    context.lineWidth = 0.04;
    context.beginPath();
    for (const at of [0.2, 0.5, 0.8]) {
      if (at > top + 0.15) continue;
      const shift = at === 0.5 ? 0.3 : 0.65;
      context.moveTo(column, row + at);
      context.lineTo(column + 1, row + at);
      context.moveTo(column + shift, row + at);
      context.lineTo(column + shift, row + at + 0.25);
    }
    context.stroke();
    context.fillStyle = "rgba(255, 255, 255, 0.16)";
    context.fillRect(column, row - 0.06, 1, 0.07);
  }

  paintCamps(context) {
    const { tile } = this.land;
    for (const [team, x, y] of this.land.camps) {
      context.strokeStyle = TEAMS[team].main;
      context.lineWidth = 0.09;
      context.setLineDash([0.32, 0.22]);
      context.beginPath();
      context.arc(x / tile, y / tile, 2.05, 0, 2 * Math.PI);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 0.12;
      context.fillStyle = TEAMS[team].main;
      context.fill();
      context.globalAlpha = 1;
    }
  }
}

/**
 * Add a tile to a path: grown over its edges where the neighbour is of another kind, with round
 * corners. `has` says whether a neighbour is of the same kind.
 */
function addBlob(context, column, row, grow, has) {
  const [west, east, north, south] = [has(-1, 0), has(1, 0), has(0, -1), has(0, 1)];
  const left = column - (west ? 0.02 : grow);
  const right = column + 1 + (east ? 0.02 : grow);
  const top = row - (north ? 0.02 : grow);
  const bottom = row + 1 + (south ? 0.02 : grow);
  const corner = (a, b) => (a || b ? 0 : ROUND);
  context.roundRect(left, top, right - left, bottom - top,
    [corner(west, north), corner(north, east), corner(east, south), corner(south, west)]);
}

function tuft(context, x, y, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 0.045;
  context.beginPath();
  for (const lean of [-0.1, 0, 0.1]) {
    context.moveTo(x + lean * 0.4, y);
    context.quadraticCurveTo(x + lean * 0.5, y - 0.1, x + lean, y - 0.17);
  }
  context.stroke();
}

function flowers(context, x, y, column, row) {
  const colours = ["#fff3f3", "#ffd9e6", "#ffe9a3", "#d9d4ff"];
  context.fillStyle = colours[Math.floor(luck(column, row, 5) * colours.length)];
  for (const [dx, dy] of [[0, 0], [0.17, 0.09], [-0.1, 0.15]]) disc(context, x + dx, y + dy, 0.045);
}

function mushroom(context, x, y) {
  context.fillStyle = "#f2e6d0";
  context.fillRect(x - 0.025, y - 0.06, 0.05, 0.09);
  context.fillStyle = "#b5533f";
  disc(context, x, y - 0.07, 0.07);
}

function wave(context, x, y) {
  context.strokeStyle = "rgba(255, 255, 255, 0.16)";
  context.lineWidth = 0.04;
  context.beginPath();
  context.arc(x - 0.12, y, 0.12, Math.PI * 1.15, Math.PI * 1.9);
  context.arc(x + 0.12, y, 0.12, Math.PI * 1.15, Math.PI * 1.9);
  context.stroke();
}

function pebble(context, x, y, radius) {
  context.fillStyle = "rgba(90, 74, 48, 0.3)";
  disc(context, x, y, radius);
}

function bridge(context, column, row) {
  context.fillStyle = LAND.bridge;
  context.fillRect(column - 0.04, row - 0.04, 1.08, 1.08);
  context.strokeStyle = "rgba(60, 38, 18, 0.5)";
  context.lineWidth = 0.05;
  context.beginPath();
  for (let at = 0; at < 1; at += 0.25) {
    context.moveTo(column - 0.04, row + at);
    context.lineTo(column + 1.04, row + at);
  }
  context.stroke();
}

function rock(context, column, row) {
  const points = [];
  for (let corner = 0; corner < 7; corner++) {
    const angle = (corner / 7) * 2 * Math.PI;
    const radius = 0.38 + 0.14 * luck(column, row, 20 + corner);
    points.push([column + 0.5 + Math.cos(angle) * radius, row + 0.5 + Math.sin(angle) * radius]);
  }
  const shape = (dx, dy, scale) => {
    context.beginPath();
    for (const [x, y] of points) {
      context.lineTo(
        column + 0.5 + (x - column - 0.5) * scale + dx, row + 0.5 + (y - row - 0.5) * scale + dy,
      );
    }
    context.closePath();
    context.fill();
  };
  context.fillStyle = "rgba(20, 25, 30, 0.28)";
  shape(0.08, 0.12, 1);
  context.fillStyle = "#77776f";
  shape(0, 0.04, 1);
  context.fillStyle = LAND.rock;
  shape(-0.03, -0.06, 0.8);
  context.fillStyle = "#b4b4ac";
  shape(-0.08, -0.14, 0.45);
}

function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
