// What went wrong, in words for the user of a page.

const PASSING = new Set(["unreachable", "denied", "unavailable", "lost", "drained", "silent"]);

/** Whether an error says nothing of the user: another try may succeed. */
export const isPassing = (error) => PASSING.has(error.code);

/** Why a login failed. `place` is what the user wants to get into, such as "chat". */
export function refusal(error, place) {
  switch (error.code) {
    case "refused": return "Name or password is wrong.";
    case "denied": {
      const wait = error.retryAfter ? ` Try again in ${Math.ceil(error.retryAfter)} s.` : "";
      return `The ${place} is full, or there were too many attempts.${wait}`;
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

/** Why a session ended; null if that needs no words. */
export function farewell(error, place) {
  switch (error.code) {
    case "logout": return null;
    case "kicked": return `You were kicked: ${error.message}`;
    case "replaced": return "You logged in from another place.";
    case "revoked": return "Your account was closed, or its password was changed.";
    case "idle": return "You were inactive for too long.";
    case "resumed": return "This page was opened again in another window.";
    case "expired": case "proof-expired": return "Your session has expired. Please log in again.";
    default: return refusal(error, place);
  }
}
