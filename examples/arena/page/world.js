// What the page knows of the world: what frames say, and where everyone is between two of them.

const TURN = 256; // parts of a turn in which headings are sent
const DELAY = 1.25; // ticks that the picture is behind the newest frame, so that few come too late
const COURSE = 7; // numbers of one course in a frame
export const LOOKS = ["person", "gatherer", "guard", "hunter", "wanderer"];
export const DASHING = 1, STUNNED = 2, SHIELDED = 4, IN_STORM = 8;
const BLOCKED = new Set("wtr#");

/** A player in sight. Its knots are what frames said of its course; the last ones are kept. */
class Body {
  constructor(number, name, team, look) {
    Object.assign(this, { number, name, team, look: LOOKS[look], load: 0, flags: 0 });
    this.knots = [];
    this.x = this.y = 0;
    this.heading = 64;
    this.speed = 0;
    this.walked = 0; // steps, which move the legs
  }

  take(tick, x, y, heading, speed, perTick) {
    const angle = (heading / TURN) * 2 * Math.PI;
    const pace = (speed / 10) * perTick;
    this.knots.push({
      tick, x, y, heading, speed, vx: Math.cos(angle) * pace, vy: Math.sin(angle) * pace,
    });
    if (this.knots.length > 4) this.knots.shift();
  }

  /** Move to where the player was at a tick, which may be a fraction. */
  place(tick) {
    const knots = this.knots;
    let index = knots.length - 1;
    while (index > 0 && knots[index].tick > tick) index -= 1;
    const from = knots[index];
    const to = knots[index + 1];
    // A new course was taken within the tick before its knot: that tick is interpolated.
    const bend = to ? Math.max(from.tick, to.tick - 1) : Infinity;
    const ahead = Math.max(0, Math.min(tick, bend) - from.tick);
    let x = from.x + from.vx * ahead;
    let y = from.y + from.vy * ahead;
    if (tick > bend) {
      const share = (tick - bend) / (to.tick - bend);
      x += (to.x - x) * share;
      y += (to.y - y) * share;
    }
    this.moveTo(x, y);
    this.heading = from.heading;
    this.speed = from.speed;
  }

  moveTo(x, y) {
    const far = Math.hypot(x - this.x, y - this.y);
    if (far < 2) this.walked += far;
    this.x = x;
    this.y = y;
  }
}

/** The world as far as it is in sight. */
export class World {
  constructor(land) {
    this.land = land;
    this.bodies = new Map();
    this.heaps = new Map();
    this.eye = 0;
    this.tick = 0; // that the picture shows
    this.newest = 0;
    this.round = land.round;
    this.offset = null; // milliseconds of the page's clock at tick 0
    this.renewed = false; // the next frame is from another server, and says all that is in sight
  }

  /** Go on with the same world as another server sees it. */
  renew(land) {
    this.land = land;
    this.round = land.round;
    this.renewed = true;
  }

  /** Take a frame; returns the events in it. */
  frame(tick, eye, arrived, courses, gone, heaps, events, now) {
    this.keepTime(tick, now);
    this.newest = tick;
    this.eye = eye;
    if (this.renewed) this.keepOnly(arrived);
    for (const [number, name, team, look] of arrived) {
      if (!this.bodies.has(number)) this.bodies.set(number, new Body(number, name, team, look));
    }
    const { units } = this.land;
    for (let at = 0; at < courses.length; at += COURSE) {
      const [number, x, y, heading, speed, load, flags] = courses.slice(at, at + COURSE);
      const body = this.bodies.get(number);
      if (body === undefined) continue; // frames were lost with the connection: `watch` follows
      body.take(tick, x / units, y / units, heading, speed, this.land.tick);
      body.load = load;
      body.flags = flags;
    }
    for (const number of gone) this.bodies.delete(number);
    for (let at = 0; at < heaps.length; at += 2) {
      if (heaps[at + 1]) this.heaps.set(heaps[at], heaps[at + 1]);
      else this.heaps.delete(heaps[at]);
    }
    return events;
  }

  /** Forget the gold, and those who are not in a frame that says all that is in sight. */
  keepOnly(arrived) {
    const here = new Set(arrived.map(([number]) => number));
    for (const number of [...this.bodies.keys()]) if (!here.has(number)) this.bodies.delete(number);
    this.heaps.clear();
    this.renewed = false;
  }

  /** Estimate when tick 0 was: the earliest frames count, since none comes before its time. */
  keepTime(tick, now) {
    const offset = now - tick * this.land.tick * 1000;
    if (this.offset === null || Math.abs(offset - this.offset) > 2000) this.offset = offset;
    else this.offset += (offset - this.offset) * (offset < this.offset ? 0.5 : 0.02);
  }

  /** Move everyone to where they are now. */
  advance(now) {
    if (this.offset === null) return;
    const tick = (now - this.offset) / (this.land.tick * 1000) - DELAY;
    this.tick = Math.max(this.tick, Math.min(tick, this.newest + 10));
    for (const body of this.bodies.values()) body.place(this.tick);
  }

  /** The player in the middle: one's own, or the one that a spectator follows. */
  get me() {
    return this.bodies.get(this.eye) ?? null;
  }

  seconds(tick) {
    return (tick - this.newest) * this.land.tick;
  }

  tileAt(x, y) {
    const { rows, tile } = this.land;
    return rows[Math.floor(y / tile)]?.[Math.floor(x / tile)] ?? "w";
  }

  middleOf(tile) {
    const across = this.land.rows.length;
    return [
      ((tile % across) + 0.5) * this.land.tile,
      (Math.floor(tile / across) + 0.5) * this.land.tile,
    ];
  }

  /** Whether a body may stand here, as on the server: half a step away from what blocks it. */
  isFree(x, y) {
    for (const dx of [-0.5, 0.5]) {
      for (const dy of [-0.5, 0.5]) if (BLOCKED.has(this.tileAt(x + dx, y + dy))) return false;
    }
    return true;
  }

  stormRadius(tick = this.tick) {
    const { first, last, begins, ends } = this.round.storm;
    const share = Math.min(1, Math.max(0, (tick - begins) / (ends - begins)));
    return first + (last - first) * share;
  }

  /** Steps from the edge of the calm: more than 0 in the storm. */
  stormDepth(x, y) {
    const { x: middleX, y: middleY } = this.round.storm;
    return Math.hypot(x - middleX, y - middleY) - this.stormRadius();
  }

  /** The nearest camp of a team; in the calm, if the storm closes in. */
  campOf(team, x, y) {
    const storm = this.round.storm;
    const last = Math.hypot(x - storm.x, y - storm.y) > storm.last ? storm.last : Infinity;
    const camps = this.land.camps.filter((camp) => camp[0] === team);
    const calm = camps.filter((camp) => Math.hypot(camp[1] - storm.x, camp[2] - storm.y) <= last);
    const distance = (camp) => Math.hypot(camp[1] - x, camp[2] - y);
    return (calm.length ? calm : camps).reduce((a, b) => (distance(a) <= distance(b) ? a : b));
  }
}
