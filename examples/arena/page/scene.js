// The picture: everything that is drawn into the canvas, from the ground to the names.

import { Effects } from "./effects.js";
import { Land } from "./land.js";
import { GOLD, TEAMS } from "./palette.js";
import { Sky } from "./sky.js";
import { Sprites, treeKind, walkStep } from "./sprites.js";
import { Tags } from "./tags.js";
import { DASHING, SHIELDED, STUNNED } from "./world.js";

const SOFT = "sp*"; // ground that keeps footprints

export class Scene {
  constructor(canvas, camera) {
    this.canvas = canvas;
    this.camera = camera;
    this.context = canvas.getContext("2d", { alpha: false });
    this.effects = new Effects();
    this.sprites = new Sprites();
    this.sky = new Sky();
    this.tags = new Tags();
    this.land = null;
    this.time = 0;
    this.density = 1;
  }

  /** Show another world. */
  enter(world) {
    this.land = new Land(world.land);
    this.tags = new Tags();
    this.effects = new Effects();
  }

  /** Fit the canvas to the window. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.density = Math.min(2, devicePixelRatio || 1);
    const [across, down] = [Math.round(width * this.density), Math.round(height * this.density)];
    if (this.canvas.width !== across || this.canvas.height !== down) {
      this.canvas.width = across;
      this.canvas.height = down;
      this.camera.resize(width, height);
    }
  }

  draw(world, seconds, now) {
    this.resize();
    this.time += seconds;
    const { context, camera, density } = this;
    context.setTransform(density, 0, 0, density, 0, 0);
    camera.frame();
    this.sprites.resize(camera.unit * density, camera.settled);
    this.effects.advance(seconds);
    this.land.draw(context, camera, density);
    this.effects.drawPrints(context, camera);
    this.drawGold(world);
    this.effects.drawGhosts(context, this.sprites, this.blit);
    this.drawStanding(world);
    this.effects.draw(context, camera);
    this.sky.draw(context, camera, world);
    this.tags.draw(context, camera, world, now);
    this.effects.drawTexts(context, camera);
    this.drawWayHome(world);
  }

  /** Draw a sprite with its foot at a position. */
  blit = (sprite, x, y, lift = 0) => {
    const { unit } = this.camera;
    const [left, top] = this.camera.toScreen(x - sprite.left, y - sprite.top - lift);
    const { width, height } = sprite.canvas;
    const scale = unit / this.sprites.unit; // 1 / density, unless a zoom is under way
    this.context.drawImage(
      sprite.canvas, Math.round(left), Math.round(top), width * scale, height * scale,
    );
  };

  drawGold(world) {
    for (const [tile, amount] of world.heaps) {
      const [x, y] = world.middleOf(tile);
      if (!this.camera.sees(x, y)) continue;
      const glint = (this.time * 1.3 + tile * 0.37) % 3 < 0.22;
      const hop = amount >= 8 ? Math.abs(Math.sin(this.time * 3)) * 0.12 : 0;
      this.blit(this.sprites.gold(amount, glint), x, y + 0.3, hop);
    }
  }

  /** Draw what stands on the ground, from the back to the front. */
  drawStanding(world) {
    const standing = [];
    for (const body of world.bodies.values()) {
      if (this.camera.sees(body.x, body.y)) standing.push({ y: body.y, body });
    }
    this.findTrees(world, standing);
    for (const [team, x, y] of world.land.camps) {
      if (this.camera.sees(x, y, 5)) standing.push({ y, x, team });
    }
    standing.sort((a, b) => a.y - b.y);
    const shadow = this.sprites.shadow();
    for (const { body } of standing) if (body) this.blit(shadow, body.x, body.y);
    if (world.me) this.drawRing(world.me);
    for (const one of standing) {
      if (one.body) this.drawPlayer(one.body);
      else if (one.team !== undefined) {
        const wave = Math.floor(this.time * 8 + one.x) % 6;
        this.blit(this.sprites.flag(one.team, wave), one.x, one.y);
      } else this.drawTree(world, one);
    }
  }

  findTrees(world, standing) {
    const { camera } = this;
    const { tile } = world.land;
    const side = tile * camera.unit;
    const bottom = (camera.top + camera.height) / side + 2;
    for (let row = Math.floor(camera.top / side) - 1; row < bottom; row++) {
      const right = (camera.left + camera.width) / side + 1;
      for (let column = Math.floor(camera.left / side) - 1; column < right; column++) {
        if (this.land.tile(column, row) === "t") {
          standing.push({ y: (row + 0.8) * tile, x: (column + 0.5) * tile, column, row });
        }
      }
    }
  }

  drawTree(world, { x, y, column, row }) {
    const me = world.me;
    // A tree in front of the own player lets it shine through.
    const hides = me && Math.abs(me.x - x) < 1.3 && y - me.y > 0.1 && y - me.y < 2.6;
    if (hides) this.context.globalAlpha = 0.45;
    this.blit(this.sprites.tree(treeKind(column, row)), x, y);
    this.context.globalAlpha = 1;
  }

  groundAt({ x, y }) {
    const { tile } = this.land.land;
    return this.land.tile(Math.floor(x / tile), Math.floor(y / tile));
  }

  drawRing({ x, y, team }) {
    const { context, camera } = this;
    const [left, top] = camera.toScreen(x, y);
    const pulse = 0.72 + Math.sin(this.time * 4) * 0.04;
    context.strokeStyle = "rgba(255, 255, 255, 0.9)";
    context.lineWidth = 2.5;
    context.beginPath();
    context.ellipse(left, top, pulse * camera.unit, pulse * 0.5 * camera.unit, 0, 0, 2 * Math.PI);
    context.stroke();
    context.strokeStyle = TEAMS[team].main;
    context.lineWidth = 1.5;
    context.stroke();
  }

  drawPlayer(body) {
    const { context, camera, sprites } = this;
    const south = Math.sin((body.heading / 256) * 2 * Math.PI) > -0.3;
    const step = walkStep(body);
    if (body.speed > 30 && Math.random() < 0.05) this.effects.dust(body.x, body.y);
    if (step !== body.step && step % 2) {
      if (SOFT.includes(this.groundAt(body))) this.effects.print(body, step - 2);
    }
    body.step = step;
    if (body.flags & DASHING) this.effects.ghost(body);
    const side = Math.cos((body.heading / 256) * 2 * Math.PI) * -0.32;
    if (body.load && south) this.blit(sprites.bag(body.load), body.x + side, body.y - 0.01, 0.3);
    if (body.flags & SHIELDED && Math.floor(this.time * 8) % 2) context.globalAlpha = 0.55;
    const { team, look, heading, number } = body;
    this.blit(sprites.player(team, look, heading, step, number), body.x, body.y);
    context.globalAlpha = 1;
    if (body.load && !south) this.blit(sprites.bag(body.load), body.x + side, body.y, 0.28);
    if (body.flags & STUNNED) {
      context.fillStyle = GOLD;
      for (let star = 0; star < 3; star++) {
        const angle = this.time * 5 + (star / 3) * 2 * Math.PI;
        const [x, y] = camera.toScreen(
          body.x + Math.cos(angle) * 0.45, body.y - 1.65 + Math.sin(angle) * 0.16);
        context.fillRect(x - 3, y - 3, 6, 6);
      }
    }
  }

  /** Point to the nearest camp of one's team, if one carries gold and it is out of sight. */
  drawWayHome(world) {
    const me = world.me;
    if (me === null || me.load === 0 || world.land.name === null) return;
    const { context, camera } = this;
    const [, x, y] = world.campOf(me.team, me.x, me.y);
    const [toX, toY] = camera.toScreen(x, y);
    const [fromX, fromY] = camera.toScreen(me.x, me.y - 0.5);
    const distance = Math.hypot(x - me.x, y - me.y);
    const angle = Math.atan2(toY - fromY, toX - fromX);
    if (distance < 5) return;
    const reach = Math.min(2.6, distance - 2) * camera.unit + Math.sin(this.time * 5) * 4;
    context.save();
    context.translate(fromX + Math.cos(angle) * reach, fromY + Math.sin(angle) * reach);
    context.rotate(angle);
    context.fillStyle = TEAMS[me.team].main;
    context.strokeStyle = "#ffffff";
    context.lineWidth = 2.5;
    context.lineJoin = "round";
    context.beginPath();
    for (const [across, down] of [[18, 0], [-8, -12], [-3, 0], [-8, 12]]) {
      context.lineTo(across, down);
    }
    context.closePath();
    context.stroke();
    context.fill();
    context.restore();
    this.label(Math.round(distance), fromX + Math.cos(angle) * (reach + 32),
      fromY + Math.sin(angle) * (reach + 32) + 4);
  }

  label(text, x, y) {
    const { context } = this;
    context.font = "700 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.lineWidth = 4;
    context.strokeStyle = "rgba(20, 24, 32, 0.8)";
    context.strokeText(text, x, y);
    context.fillStyle = "#ffffff";
    context.fillText(text, x, y);
  }
}
