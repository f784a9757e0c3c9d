// The session of this page's user: the form, the login, and what is said about the connection.

import { connect, resume } from "./rpc/actorcred.js";

const $ = (selector) => document.querySelector(selector);

/**
 * Log in by the form, or resume the session that the page had before it was reloaded.
 *
 * @param {object} listeners what the server may send: { name: function }.
 * @param {function} entered called with the client, once it is logged in.
 * @param {function} left called when the session is over.
 */
export async function start(listeners, entered, left) {
  let client = null;
  const all = {
    ...listeners,
    slow: () => say("The server is busy: still waiting for its answer."),
    reconnecting: () => say("The connection was lost. Trying again."),
    // If notifications were missed, the server has to send everything again.
    reconnected: (complete) => (say(""), complete || client.call("look")),
    closed: (error) => show(null, error.code === "logout" ? "" : explain(error)),
  };

  function show(logged, text) {
    client = logged;
    $("#login").hidden = client !== null;
    $("#inside").hidden = client === null;
    say(text);
    if (client === null) left();
    else entered(client);
  }

  async function enter(secrets) {
    $("#login").inert = true;
    try {
      show(await connect("rpc/socket", { ...secrets, listeners: all }), "");
    } catch (error) {
      say(explain(error));
    } finally {
      $("#login").inert = false;
    }
  }

  $("#login").addEventListener("submit", (event) => {
    event.preventDefault();
    enter({ username: $("#username").value, password: $("#password").value });
  });
  $("#guest").addEventListener("click", () => enter({}));
  $("#leave").addEventListener("click", () => client?.close());
  const resumed = await resume("rpc/socket", { listeners: all }).catch(() => null);
  if (resumed !== null) {
    show(resumed, "");
    resumed.call("look");
  }
  document.body.dataset.ready = "";
}

function say(text) {
  $("#status").textContent = text;
}

function explain(error) {
  const wait = error.retryAfter ? ` Try again in ${Math.ceil(error.retryAfter)} s.` : "";
  switch (error.code) {
    case "refused": return "The name or the password is wrong.";
    case "denied": return `There were too many attempts, or there is no room.${wait}`;
    case "unavailable": return `Logging in does not work at the moment.${wait}`;
    case "unreachable": return "The server cannot be reached.";
    case "replaced": return "You have logged in somewhere else.";
    default: return `The session has ended: ${error.message}`;
  }
}
