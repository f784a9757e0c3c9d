// Keys, touch, mouse and gamepad, as one direction and a few commands.

const KEYS = {
  arrowup: [0, -1], arrowdown: [0, 1], arrowleft: [-1, 0], arrowright: [1, 0],
  w: [0, -1], s: [0, 1], a: [-1, 0], d: [1, 0],
};
const REACH = 52; // pixels from the middle of the stick to its edge
const DEAD = 0.2; // share of a stick's way that counts as its middle

/**
 * The player's wishes. `commands` are called by name: dash, talk, back, board, mute, figures, zoom.
 */
export class Input {
  constructor(canvas, stick, commands) {
    this.canvas = canvas;
    this.stick = stick;
    this.commands = commands;
    this.held = new Set();
    this.touch = null;
    this.mouse = null;
    this.buttons = new Set();
    this.pinch = new Map();
    addEventListener("keydown", (event) => this.pressed(event));
    addEventListener("keyup", (event) => this.held.delete(event.key.toLowerCase()));
    addEventListener("blur", () => this.release());
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => this.up(event));
    }
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      commands.zoom(Math.exp(-event.deltaY * 0.0012));
    }, { passive: false });
  }

  release() {
    this.held.clear();
    this.touch = this.mouse = null;
    this.pinch.clear();
    this.stick.hidden = true;
  }

  /** Keys count while no field or dialog has the focus. */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "f2") return this.run(event, "figures");
    if (event.target.closest("dialog, #gate")) return undefined;
    if (key === "escape") return this.commands.back();
    if (event.target.closest("input")) return undefined;
    if (key in KEYS) {
      event.preventDefault();
      this.held.add(key);
      return undefined;
    }
    if (event.repeat || (event.target.closest("button") && key !== "tab")) return undefined;
    if (key === " ") return this.run(event, "dash");
    if (key === "enter") return this.run(event, "talk");
    if (key === "tab" && !event.shiftKey && event.target === this.canvas) {
      return this.run(event, "board");
    }
    if (key === "m") return this.run(event, "mute");
    if (key === "+" || key === "-") return this.commands.zoom(key === "+" ? 1.15 : 1 / 1.15);
    return undefined;
  }

  run(event, command) {
    event.preventDefault();
    this.commands[command]();
  }

  down(event) {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") this.touchDown(event);
    else if (event.button === 0) this.mouse = [event.clientX, event.clientY];
    else this.commands.dash();
  }

  touchDown({ pointerId, clientX: x, clientY: y }) {
    this.pinch.set(pointerId, [x, y]);
    if (this.touch === null) {
      this.touch = { id: pointerId, from: [x, y], at: [x, y] };
      this.stick.hidden = false;
      this.stick.style.transform = `translate(${x - 58}px, ${y - 58}px)`;
      this.showStick();
    }
  }

  moved(event) {
    const at = [event.clientX, event.clientY];
    if (this.pinch.has(event.pointerId)) {
      const before = this.spread();
      this.pinch.set(event.pointerId, at);
      const after = this.spread();
      if (before && after) this.commands.zoom(after / before);
    }
    if (this.touch?.id === event.pointerId) {
      this.touch.at = at;
      this.showStick();
    } else if (this.mouse !== null && event.pointerType !== "touch") this.mouse = at;
  }

  spread() {
    if (this.pinch.size < 2) return 0;
    const [[x, y], [toX, toY]] = [...this.pinch.values()];
    return Math.hypot(toX - x, toY - y);
  }

  up(event) {
    this.pinch.delete(event.pointerId);
    if (this.touch?.id === event.pointerId) {
      this.touch = null;
      this.stick.hidden = true;
    } else if (event.pointerType !== "touch") this.mouse = null;
  }

  showStick() {
    const [x, y] = this.touchDirection();
    this.stick.firstElementChild.style.transform = `translate(${x * REACH}px, ${y * REACH}px)`;
  }

  touchDirection() {
    const { from, at } = this.touch;
    return limited((at[0] - from[0]) / REACH, (at[1] - from[1]) / REACH);
  }

  /** The wished direction, of length 1 at most; `subject` is where the own player is on screen. */
  direction(subject) {
    let x = 0, y = 0;
    for (const key of this.held) {
      x += KEYS[key][0];
      y += KEYS[key][1];
    }
    if (x || y) return limited(x, y);
    if (this.touch !== null) return dead(...this.touchDirection());
    if (this.mouse !== null && subject !== null) {
      return dead(...limited((this.mouse[0] - subject[0]) / 60, (this.mouse[1] - subject[1]) / 60));
    }
    return this.gamepad();
  }

  gamepad() {
    const pad = navigator.getGamepads?.().find((one) => one?.connected);
    if (!pad) return [0, 0];
    const commands = { 0: "dash", 1: "dash", 8: "board", 9: "board", 3: "mute" };
    for (const [index, command] of Object.entries(commands)) {
      const pressed = pad.buttons[index]?.pressed ?? false;
      if (pressed && !this.buttons.has(index)) this.commands[command]();
      if (pressed) this.buttons.add(index);
      else this.buttons.delete(index);
    }
    const cross = (index) => (pad.buttons[index]?.pressed ? 1 : 0);
    const x = pad.axes[0] + cross(15) - cross(14);
    const y = pad.axes[1] + cross(13) - cross(12);
    return dead(...limited(x, y));
  }
}

function limited(x, y) {
  const length = Math.hypot(x, y);
  return length > 1 ? [x / length, y / length] : [x, y];
}

function dead(x, y) {
  return Math.hypot(x, y) < DEAD ? [0, 0] : [x, y];
}
