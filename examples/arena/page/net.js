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
