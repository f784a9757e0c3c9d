// One's own player, moved at once and not only when the server's frame comes.

const TRUST = 3.5; // per second: how fast the picture follows the server where they differ
const LOST = 4; // steps of difference at which the picture jumps

export class Walker {
  constructor() {
    this.at = null;
  }

  /** Move the player of this page for a moment. `wish` is its direction, of length 1 at most. */
  step(world, wish, seconds) {
    const me = world.me;
    if (me === null) return;
    const course = me.knots.at(-1);
    const ahead = Math.min(3, Math.max(0, world.tick + 1.25 - course.tick));
    const server = [course.x + course.vx * ahead, course.y + course.vy * ahead];
    if (this.at === null || Math.hypot(server[0] - this.at[0], server[1] - this.at[1]) > LOST) {
      this.at = server;
    }
    const pace = this.pace(world, me, wish);
    this.slide(world, wish[0] * pace * seconds, wish[1] * pace * seconds);
    const pull = 1 - Math.exp(-TRUST * seconds);
    this.at[0] += (server[0] - this.at[0]) * pull;
    this.at[1] += (server[1] - this.at[1]) * pull;
    me.moveTo(...this.at);
    if (wish[0] || wish[1]) {
      me.heading = ((Math.atan2(wish[1], wish[0]) / (2 * Math.PI)) * 256 + 256) % 256;
      me.speed = pace * 10;
    }
  }

  pace(world, me, wish) {
    if (me.flags & 2) return 0; // stunned
    if (me.flags & 1) return world.land.walk * world.land.dash; // dashing
    const burden = 1 - 0.025 * Math.min(me.load, world.land.capacity);
    return world.land.walk * burden * (me.flags & 8 ? 0.65 : 1) * (wish[0] || wish[1] ? 1 : 0);
  }

  slide(world, dx, dy) {
    if (world.isFree(this.at[0] + dx, this.at[1])) this.at[0] += dx;
    if (world.isFree(this.at[0], this.at[1] + dy)) this.at[1] += dy;
  }
}
