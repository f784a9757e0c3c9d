// The camera: follows its subject gently, looks a little ahead, and zooms.

const ACROSS = 34, DOWN = 25; // steps in sight at most; the server sends no more
const FOLLOW = 5, LOOK = 2.2; // per second, and steps ahead
const NEAREST = 2;
const REST = 3, CLOSER = 1.2; // seconds of standing after which the camera comes closer

const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Camera {
  constructor() {
    this.x = this.y = null;
    this.zoom = this.wanted = 1;
    this.shake = 0;
    this.rested = 0;
    this.resize(1, 1);
  }

  /** Fit to a canvas of this size in CSS pixels. */
  resize(width, height) {
    this.width = width;
    this.height = height;
    this.base = Math.max(width / ACROSS, height / DOWN);
  }

  /** Pixels of one step. */
  get unit() {
    return this.base * this.zoom;
  }

  zoomBy(factor) {
    this.wanted = Math.min(NEAREST, Math.max(1, this.wanted * factor));
  }

  /** Whether the zoom is not under way. */
  get settled() {
    return this.zoom === this.goal;
  }

  /** The zoom to reach: nearer while the subject stands for a while, as when it talks. */
  get goal() {
    return this.rested > REST ? Math.min(NEAREST, this.wanted * CLOSER) : this.wanted;
  }

  follow(subject, seconds) {
    this.rested = subject !== null && subject.speed < 3 ? this.rested + seconds : 0;
    const near = Math.abs(this.goal - this.zoom) < 0.004;
    const ease = 1 - Math.exp(-3 * seconds);
    this.zoom = near ? this.goal : this.zoom + (this.goal - this.zoom) * ease;
    this.shake *= Math.exp(-8 * seconds);
    if (subject === null) return;
    const angle = (subject.heading / 256) * 2 * Math.PI;
    const ahead = subject.speed > 5 ? LOOK / this.zoom : 0;
    const x = subject.x + Math.cos(angle) * ahead;
    const y = subject.y + Math.sin(angle) * ahead;
    if (this.x === null || Math.hypot(x - this.x, y - this.y) > 30) [this.x, this.y] = [x, y];
    const share = 1 - Math.exp(-FOLLOW * seconds);
    this.x += (x - this.x) * share;
    this.y += (y - this.y) * share;
  }

  /** Where the left top of the picture is, in whole pixels, so that tiles stay sharp. */
  frame() {
    const jolt = () => (STILL.matches ? 0 : (Math.random() - 0.5) * this.shake * this.unit);
    this.left = Math.round((this.x ?? 0) * this.unit - this.width / 2 + jolt());
    this.top = Math.round((this.y ?? 0) * this.unit - this.height / 2 + jolt());
  }

  toScreen(x, y) {
    return [x * this.unit - this.left, y * this.unit - this.top];
  }

  sees(x, y, margin = 2) {
    const [left, top] = this.toScreen(x, y);
    const border = margin * this.unit;
    return left > -border && top > -border
      && left < this.width + border && top < this.height + border;
  }
}
