// Drawing: the world from above, and small charts.

const COLOURS = {
  ground: "#141a29",
  grid: "#1e2638",
  rock: "#3a4560",
  gold: "#ffcf5c",
  me: "#50e3c2",
  other: "#8aa4ff",
  text: "#e8ecf5",
};

/** Fit a canvas to its box at the screen's full resolution; return its context in CSS pixels. */
function fit(canvas) {
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return { context, width, height };
}

/** Draw the player's surroundings, interpolated between the last two scenes. */
export function drawWorld(canvas, world, before, scene) {
  const { context, width, height } = fit(canvas);
  const me = positionOf(world.name, world, before, scene);
  context.fillStyle = "#0c101a";
  context.fillRect(0, 0, width, height);
  if (me === null) return;
  const unit = Math.max(width, height) / (world.view * 1.7);
  const place = (x, y) => [width / 2 + (x - me[0]) * unit, height / 2 - (y - me[1]) * unit];
  drawGround(context, world, place, unit);
  for (const [x, y] of scene.pickups) drawGold(context, place(x, y), unit);
  for (const [name, , , score] of scene.players) {
    const position = positionOf(name, world, before, scene);
    drawPlayer(context, place(...position), unit, name, score, name === world.name);
  }
}

function positionOf(name, world, before, scene) {
  const now = scene.players.find((player) => player[0] === name);
  if (now === undefined) return null;
  const then = before.players.find((player) => player[0] === name) ?? now;
  const share = Math.min(1, (performance.now() - scene.at) / (world.tick * 1000));
  return [then[1] + (now[1] - then[1]) * share, then[2] + (now[2] - then[2]) * share];
}

function drawGround(context, world, place, unit) {
  const [left, bottom] = place(0, 0);
  const side = world.size * unit;
  context.fillStyle = COLOURS.ground;
  context.fillRect(left, bottom - side, side, side);
  context.strokeStyle = COLOURS.grid;
  context.lineWidth = 1;
  context.beginPath();
  for (let line = 0; line <= world.size; line += 4) {
    context.moveTo(...place(line, 0));
    context.lineTo(...place(line, world.size));
    context.moveTo(...place(0, line));
    context.lineTo(...place(world.size, line));
  }
  context.stroke();
  context.fillStyle = COLOURS.rock;
  for (const [x, y, radius] of world.obstacles) disc(context, place(x, y), radius * unit);
}

function drawGold(context, [x, y], unit) {
  const size = 0.22 * unit;
  context.fillStyle = COLOURS.gold;
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.fill();
}

function drawPlayer(context, [x, y], unit, name, score, isMe) {
  context.fillStyle = isMe ? COLOURS.me : COLOURS.other;
  disc(context, [x, y], 0.4 * unit);
  context.fillStyle = COLOURS.text;
  context.font = `${isMe ? "600 " : ""}12px system-ui, sans-serif`;
  context.textAlign = "center";
  context.fillText(score > 0 ? `${name} · ${score}` : name, x, y - 0.4 * unit - 5);
}

function disc(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** Draw the last values of a figure. */
export function drawChart(canvas, points) {
  const { context, width, height } = fit(canvas);
  context.clearRect(0, 0, width, height);
  const most = Math.max(...points, 0.001);
  const at = (index) => [
    (index / Math.max(1, points.length - 1)) * width,
    height - 2 - (points[index] / most) * (height - 4),
  ];
  context.strokeStyle = COLOURS.me;
  context.lineWidth = 1.5;
  context.beginPath();
  points.forEach((_, index) => context.lineTo(...at(index)));
  context.stroke();
}
