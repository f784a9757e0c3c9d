// What the canvas shows, in words, for screen readers.

/** Describe the surroundings of the player in the middle. */
export function describe(world) {
  const me = world.me;
  if (me === null) return "";
  const distance = (x, y) => Math.hypot(x - me.x, y - me.y);
  const names = [...world.bodies.values()]
    .filter((body) => body !== me && distance(body.x, body.y) < 6)
    .slice(0, 5)
    .map((body) => body.name);
  const heaps = [...world.heaps.keys()].map((tile) => world.middleOf(tile));
  const [gold] = heaps.sort((a, b) => distance(...a) - distance(...b));
  const nearest = gold ? `Nearest gold: ${where(me, ...gold)}.` : "No gold in view.";
  const [, campX, campY] = world.campOf(me.team, me.x, me.y);
  const camp = `Your camp: ${where(me, campX, campY)}.`;
  return `Near you: ${names.join(", ") || "no one"}. ${nearest} ${camp} You carry ${me.load} gold.`;
}

function where(me, x, y) {
  const way = ["east", "south-east", "south", "south-west", "west", "north-west", "north",
    "north-east"];
  const index = Math.round(Math.atan2(y - me.y, x - me.x) / (Math.PI / 4));
  return `${Math.round(Math.hypot(x - me.x, y - me.y))} steps ${way[(index + 8) % 8]}`;
}
