// Short-lived things: footprints, dust, sparks, rain, ghosts of a dash, and numbers that rise.

const MOST = 420;
const MOST_PRINTS = 160, PRINT = 3.5; // footprints, and seconds until one has faded

export class Effects {
  constructor() {
    this.particles = [];
    this.texts = [];
    this.ghosts = [];
    this.prints = [];
  }

  /** Throw some particles. */
  burst(x, y, { count, colour, speed = 3, life = 0.6, size = 0.1, up = 2, gravity = 7 }) {
    for (let number = 0; number < count; number++) {
      const angle = Math.random() * 2 * Math.PI;
      const pace = speed * (0.4 + 0.6 * Math.random());
      this.add({
        x, y, z: 0.5, vx: Math.cos(angle) * pace, vy: Math.sin(angle) * pace * 0.7,
        vz: up * (0.6 + Math.random() * 0.8), life: life * (0.6 + 0.6 * Math.random()),
        age: 0, size: size * (0.6 + Math.random() * 0.8), colour, gravity,
      });
    }
  }

  add(particle) {
    if (this.particles.length >= MOST) this.particles.shift();
    this.particles.push(particle);
  }

  dust(x, y) {
    this.add({
      x: x + (Math.random() - 0.5) * 0.3, y, z: 0.05, vx: 0, vy: 0, vz: 0.5, gravity: 0,
      life: 0.55, age: 0, size: 0.13, colour: "rgba(226, 209, 168, 0.7)",
    });
  }

  /** Leave a footprint. `side` is -1 or 1. */
  print(body, side) {
    if (this.prints.length >= MOST_PRINTS) this.prints.shift();
    const angle = (body.heading / 256) * 2 * Math.PI;
    const [x, y] = [body.x - Math.sin(angle) * 0.13 * side, body.y + Math.cos(angle) * 0.1 * side];
    this.prints.push({ x, y, age: 0, life: PRINT });
  }

  drawPrints(context, camera) {
    context.fillStyle = "#5b4524";
    for (const { x, y, age } of this.prints) {
      if (!camera.sees(x, y, 0)) continue;
      const [left, top] = camera.toScreen(x, y);
      context.globalAlpha = 0.3 * (1 - age / PRINT);
      context.beginPath();
      context.ellipse(left, top, 0.085 * camera.unit, 0.055 * camera.unit, 0, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  /** Let a number or a word rise. */
  rise(x, y, text, colour, size = 1) {
    if (this.texts.length >= 40) this.texts.shift();
    this.texts.push({ x, y, text, colour, size, age: 0 });
  }

  ghost(body) {
    if (this.ghosts.length >= 40) this.ghosts.shift();
    const { x, y, team, look, heading, number } = body;
    this.ghosts.push({ x, y, team, look, heading, number, age: 0 });
  }

  advance(seconds) {
    const young = (life) => (one) => (one.age += seconds) < (one.life ?? life);
    this.particles = this.particles.filter(young());
    this.texts = this.texts.filter(young(1.3));
    this.ghosts = this.ghosts.filter(young(0.3));
    this.prints = this.prints.filter(young());
    for (const one of this.particles) {
      one.vz -= one.gravity * seconds;
      one.x += one.vx * seconds;
      one.y += one.vy * seconds;
      one.z = Math.max(0, one.z + one.vz * seconds);
      if (one.z === 0 && one.gravity) one.vx *= 0.9;
    }
  }

  drawGhosts(context, sprites, blit) {
    for (const ghost of this.ghosts) {
      context.globalAlpha = 0.4 * (1 - ghost.age / 0.3);
      const { team, look, heading, number, x, y } = ghost;
      blit(sprites.player(team, look, heading, 1, number), x, y);
    }
    context.globalAlpha = 1;
  }

  draw(context, camera) {
    for (const one of this.particles) {
      if (!camera.sees(one.x, one.y)) continue;
      const [x, y] = camera.toScreen(one.x, one.y - one.z);
      context.globalAlpha = Math.min(1, (1 - one.age / one.life) * 2);
      context.fillStyle = one.colour;
      const radius = one.size * camera.unit;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  drawTexts(context, camera) {
    context.textAlign = "center";
    for (const { x, y, text, colour, size, age } of this.texts) {
      const [left, top] = camera.toScreen(x, y - 1.7 - age * 1.2);
      const grow = age < 0.12 ? 0.6 + (age / 0.12) * 0.4 : 1;
      context.globalAlpha = Math.min(1, (1.3 - age) * 2.5);
      context.font = `800 ${Math.round(17 * size * grow)}px system-ui, sans-serif`;
      context.lineWidth = 4;
      context.strokeStyle = "rgba(20, 24, 32, 0.85)";
      context.strokeText(text, left, top);
      context.fillStyle = colour;
      context.fillText(text, left, top);
    }
    context.globalAlpha = 1;
  }
}
