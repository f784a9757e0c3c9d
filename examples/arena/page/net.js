// The connection to the server: as a spectator, or as a player.

import { connect, resume } from "./rpc/actorcred.js";

const URL = "rpc/socket";
const CLIENT = ["arena page", "2"];

/** Watch the game without a body in it. The session does not outlive the page. */
export function spectate(listeners) {
  const quiet = { interface: "Spectator", storage: null, client: CLIENT };
  return connect(URL, { ...quiet, listeners });
}

/** Log in to play: with a name and a password, or as a guest without. */
export function play(secrets, listeners) {
  return connect(URL, { ...secrets, interface: "Player", listeners, client: CLIENT });
}

/** Go on after a reload of the page; null if there is no session to go on with. */
export function goOn(listeners) {
  return resume(URL, { interface: "Player", listeners, client: CLIENT });
}

/** Why a login failed, in words for a player. */
export function refusal(error) {
  switch (error.code) {
    case "refused": return "Name or password is wrong.";
    case "denied": {
      const wait = error.retryAfter ? ` Try again in ${Math.ceil(error.retryAfter)} s.` : "";
      return `The arena is full, or there were too many attempts.${wait}`;
    }
    case "unavailable":
      return "The server is up, but logging in is not possible at the moment. Try again later.";
    case "unreachable":
      return (
        "The server cannot be reached, or it accepts no more connections. " +
        "Try again in a moment."
      );
    case "lost": return "The connection was lost. Try again.";
    default: return error.message;
  }
}

/** Why a session ended, in words for a player; null if that needs none. */
export function farewell(error) {
  switch (error.code) {
    case "logout": return null;
    case "kicked": return `You were kicked: ${error.message}`;
    case "replaced": return "You logged in from another place.";
    case "revoked": return "Your account was closed, or its password was changed.";
    case "idle": return "You were inactive for too long.";
    case "expired": case "proof-expired": return "Your session has expired. Please log in again.";
    default: return refusal(error);
  }
}
