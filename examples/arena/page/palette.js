// The colours, in one place.

export const TEAMS = [
  { name: "Red", main: "#e5544b", dark: "#9c2f2c", light: "#ff9c8f" },
  { name: "Blue", main: "#4a90f0", dark: "#27559c", light: "#9cc8ff" },
  { name: "Green", main: "#3fb45f", dark: "#22703a", light: "#9be8ab" },
  { name: "Violet", main: "#a873f2", dark: "#65409f", light: "#d8bcff" },
];

export const LAND = {
  deep: "#2a6f97",
  shallow: "#3f8fb5",
  foam: "#7fc3d8",
  sand: "#e3cf98",
  grass: "#7fb254",
  meadow: "#96c163",
  forest: "#5f9648",
  path: "#cdb486",
  camp: "#d8bd8a",
  bridge: "#a9794a",
  wall: "#a8a296",
  wallFront: "#7b756b",
  rock: "#9a9a94",
};

export const GOLD = "#ffd34d";
export const INK = "#1d2430";
