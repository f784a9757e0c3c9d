// The way to the server: logging in, resuming after a reload, and trying again.

import { connect, resume } from "./rpc/actorcred.js";
import { isPassing } from "./common/words.js";

const URL = "rpc/socket";
const CLIENT = ["chat page", "2"];
const LONGEST_PAUSE = 5; // seconds

/** Log in. `trying(error, seconds)` is called before each further try; see `persist`. */
export function logIn(secrets, listeners, trying, signal) {
  let wasThere = false; // the server has gone away during this login: it is restarting
  return persist(
    () => connect(URL, { ...secrets, listeners, client: CLIENT }),
    (error) => {
      wasThere ||= error.code === "drained" || error.code === "lost";
      return wasThere && isPassing(error);
    },
    trying,
    signal,
  );
}

/** Go on after a reload of the page; null if there is no session to go on with. */
export function goOn(listeners, trying, signal) {
  return persist(() => resume(URL, { listeners, client: CLIENT }), isPassing, trying, signal);
}

/**
 * Call `attempt` until it succeeds, with growing pauses.
 *
 * @param {function} worthIt whether to try again after an error; if not, it is thrown.
 * @param {AbortSignal} signal ends it; the last error is thrown then.
 */
async function persist(attempt, worthIt, trying, signal) {
  for (let seconds = 0.5; ; seconds = Math.min(LONGEST_PAUSE, seconds * 2)) {
    try {
      return await attempt();
    } catch (error) {
      if (!worthIt(error) || signal.aborted) throw error;
      const pause = Math.max(seconds, error.retryAfter ?? 0);
      trying(error, pause);
      await passed(pause, signal);
      if (signal.aborted) throw error;
    }
  }
}

let hurry = null; // ends the pause before the next try

/** Try again at once, if there is a pause. */
export function tryNow() {
  hurry?.();
}

function passed(seconds, signal) {
  return new Promise((resolve) => {
    hurry = resolve;
    setTimeout(resolve, seconds * 1000 * (0.75 + Math.random() / 2));
    signal.addEventListener("abort", resolve, { once: true });
  });
}
