// Numbers that look random but belong to a place, so that the land looks the same each time.

/** A number from 0 to 1 for a place and a purpose. */
export function luck(x, y, purpose = 0) {
  let hash = Math.imul(x | 0, 374761393) ^ Math.imul(y | 0, 668265263);
  hash ^= Math.imul(purpose + 1, 2246822519);
  hash = Math.imul(hash ^ (hash >>> 13), 1274126177);
  return ((hash ^ (hash >>> 16)) >>> 0) / 4294967296;
}
