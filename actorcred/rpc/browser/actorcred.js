/**
 * The client of an actorcred server for browsers: JSON over WebSocket, SASL, calls, notifications,
 * and resuming the session after a lost connection or a reload. One ES module, no dependencies.
 *
 *     import { connect } from "./actorcred.js";
 *     const client = await connect("/rpc/socket", { username: "ann", password: "s3cret" });
 *     client.on("moved", (x, y) => draw(x, y));
 *     await client.call("move", 1, 0);
 */

const SUBPROTOCOL = "actorcred.json";
const FINAL = new Set([
  "logout", "kicked", "replaced", "revoked", "resumed", "idle", "expired", "proof-expired",
  "protocol-error",
]);
const SLOW_LOGIN = 3; // seconds after which a login is reported as slow
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A login or a call failed; `code` says why. Try again after `retryAfter` seconds, if not null. */
export class CredError extends Error {
  constructor(code, message, retryAfter = null) {
    super(message);
    this.name = "CredError";
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/**
 * Connect and log in.
 *
 * @param {string} url the WebSocket's URL, or a path on the server of this page.
 * @param {object} options
 *   username, password: the user's; without them the login is anonymous.
 *   token: an OAuth bearer token in place of a password.
 *   interface: the name of the interface, or several in order of preference.
 *   storage: keeps the resume token over a reload of the page, by default `sessionStorage`; null to
 *     keep none.
 *   timeout: seconds for connecting.
 *   loginTimeout: seconds for logging in, once connected; longer than a server's default of 30.
 *   notifications: false for a page that only makes calls: the server sends it no notifications,
 *     nor the reason why it ends the session.
 *   info: what else the page tells the realm, such as { language: "de" }; a few kilobytes at most.
 *   listeners: { name: function } for notifications, events and calls of the server, registered
 *     before the first can arrive.
 * @returns {Promise<Client>} the client, logged in.
 * @throws {CredError} if that fails, with the code "unreachable" (no connection), "refused",
 *   "denied" (`retryAfter` says when to try again), or "unavailable" (not now, or no answer in
 *   time).
 */
export async function connect(url, options = {}) {
  const client = new Client(url, options);
  await client._open((opened) => opened._logIn());
  return client;
}

/**
 * Resume the session that the page had before it was reloaded.
 *
 * @returns {Promise<Client|null>} the client, or null if the session does not exist any more.
 * @throws {CredError} if the server cannot be asked now; a later try can still succeed.
 */
export async function resume(url, options = {}) {
  const client = new Client(url, options);
  if (!client._recall()) return null;
  try {
    await client._open((opened) => opened._resume());
  } catch (error) {
    if (error.code === "refused") return null;
    client._keep(); // it was not used, so that the next try can use it
    throw error;
  }
  return client;
}

/**
 * A logged-in client. In addition to the server's notifications it has these events, for `on`:
 * "slow" (), when a login takes more than a few seconds; "reconnecting" (error, seconds), with the
 * time until the next attempt, which a page can count down, and end by `reconnectNow`;
 * "reconnected" (complete), "closed" (error).
 */
export class Client {
  constructor(url, options) {
    this.url = new URL(url, location.href).href.replace(/^http/, "ws");
    this.options = {
      timeout: 10,
      loginTimeout: 40,
      storage: globalThis.sessionStorage ?? null,
      client: ["actorcred.js", ""],
      ...options,
    };
    this.avatarId = null;
    this.interface = "";
    this.session = "";
    this.limits = {};
    this.notifications = 0;
    this._listeners = new Map();
    for (const [name, listener] of Object.entries(this.options.listeners ?? {})) {
      this.on(name, listener);
    }
    this._calls = new Map();
    this._again = []; // calls to make at the server to which the session has moved
    this._lastId = 0;
    this._socket = null;
    this._token = null;
    this._goodbye = null;
    this._loggedIn = false;
    this._closed = false;
    this._hurry = null;
    this._remember = () => this._keep();
    globalThis.addEventListener?.("pagehide", this._remember);
  }

  /**
   * Call `listener` for each notification, event or call of this name. Its result is the answer to
   * a call of the server.
   */
  on(name, listener) {
    this._listeners.set(name, [...(this._listeners.get(name) ?? []), listener]);
    return this;
  }

  /** Call a method of the avatar; returns a promise of its result. */
  call(method, ...params) {
    if (this._socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(this._goodbye ?? new CredError("lost", "there is no connection"));
    }
    return new Promise((resolve, reject) => this._request({ method, params, resolve, reject }));
  }

  /** Call a method of the avatar without an answer. Returns whether there is a connection. */
  notify(method, ...params) {
    if (this._socket?.readyState !== WebSocket.OPEN) return false;
    this._send([2, method, params]);
    return true;
  }

  /** Prove the credentials again, as some methods require with the error "reauthenticate". */
  async reauthenticate(password = this.options.password) {
    await this._authenticate("cred.reauthenticate", { ...this.options, password });
  }

  /** Try to reconnect at once, if the client waits for that. Returns whether it did wait. */
  reconnectNow() {
    this._hurry?.();
    return this._hurry !== null;
  }

  /** Log out and close the connection. */
  async close() {
    this._closed = true;
    this._forget();
    this._hurry?.();
    const gone = new Promise((resolve) => this.on("closed", resolve));
    await this.call("cred.logout").catch(() => {});
    if (this._socket !== null) await Promise.race([gone, pause(this.options.timeout)]);
    this._socket?.close();
  }

  // -- connecting ---------------------------------------------------------------------------------

  async _open(enter) {
    this._goodbye = null;
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this._socket = socket;
    let open = false;
    const gone = new Promise((_, reject) => {
      socket.onclose = () => {
        const unreachable = new CredError(
          "unreachable",
          "the server cannot be reached, or accepts no more connections",
        );
        const lost = new CredError("lost", "the connection was lost during the login");
        reject(this._goodbye ?? (open ? lost : unreachable));
        if (socket === this._socket) this._lost();
      };
    });
    const opened = new Promise((resolve) => (socket.onopen = resolve));
    socket.onmessage = (event) => {
      if (socket === this._socket) this._received(JSON.parse(event.data));
    };
    gone.catch(() => {});
    const slow = setTimeout(() => this._emit("slow"), SLOW_LOGIN * 1000);
    try {
      const { timeout, loginTimeout } = this.options;
      const unreachable = new CredError("unreachable", "the server cannot be reached");
      await within(timeout, Promise.race([opened, gone]), unreachable);
      open = true;
      // The server can be reached, so a slow login is not "unreachable".
      const late = new CredError(
        "unavailable",
        `the server has not answered the login within ${loginTimeout} s`,
      );
      await within(loginTimeout, Promise.race([enter(this), gone]), late);
    } catch (error) {
      this._drop();
      throw error;
    } finally {
      clearTimeout(slow);
    }
    this._loggedIn = true;
    this._beat();
  }

  async _logIn() {
    const wishes = { client: this.options.client, resume: true, heartbeat: true, move: true };
    if (this.options.interface) wishes.interface = this.options.interface;
    if (this.options.info) wishes.info = this.options.info;
    if (this.options.notifications === false) wishes.notifications = false;
    this.notifications = 0;
    this._enter(await this._authenticate("cred.login", this.options, wishes));
    this._keep();
  }

  async _resume() {
    const token = this._token;
    const seen = this.notifications;
    this._token = null;
    const answer = await this.call("cred.resume", token, seen, true);
    this._enter(answer);
    this.notifications += answer.notifications - seen; // some might have arrived since
    this._keep();
    return !answer.refresh;
  }

  _enter(answer) {
    this.avatarId = answer.avatar_id;
    this.interface = answer.interface;
    this.session = answer.session;
    this.limits = answer.limits;
    this._token = answer.token;
  }

  async _authenticate(method, secrets, ...more) {
    const offers = await this.call("cred.mechanisms");
    const mechanism = chooseMechanism(offers, secrets, new URL(this.url));
    let answer = await this.call(method, mechanism.name, await mechanism.start(), ...more);
    while (answer.challenge !== undefined) {
      answer = await this.call("cred.respond", await mechanism.answer(answer.challenge));
    }
    await mechanism.finish?.(answer.data);
    return answer;
  }

  // -- reconnecting -------------------------------------------------------------------------------

  _drop() {
    const socket = this._socket;
    this._socket = null;
    clearTimeout(this._heartbeat);
    if (socket !== null) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const error = this._goodbye ?? new CredError("lost", "the connection was lost");
    for (const [id, call] of this._calls) {
      // A session that moves leaves what was sent after request `last` to the other server.
      const later = (id - (error.last ?? 0)) >>> 0;
      if (error.last !== undefined && later > 0 && later < 0x80000000) this._again.push(call);
      else call.reject(error);
    }
    this._calls.clear();
  }

  _lost() {
    this._drop();
    if (!this._loggedIn) return;
    this._loggedIn = false;
    const error = this._goodbye ?? new CredError("lost", "the connection was lost");
    if (this._closed || FINAL.has(error.code)) this._end(error);
    else this._comeBack(error);
  }

  async _comeBack(error) {
    let seconds = error.retryAfter ?? 0.2;
    while (!this._closed) {
      const wait = seconds * (0.75 + Math.random() / 2);
      const waited = new Promise((resolve) => (this._hurry = resolve));
      this._emit("reconnecting", error, wait);
      await Promise.race([waited, pause(wait)]);
      this._hurry = null;
      if (this._closed) break;
      let complete = false;
      try {
        await this._open(async () => {
          try {
            if (this._token === null) {
              throw new CredError("refused", "there is no session to resume");
            }
            complete = await this._resume();
          } catch (refusal) {
            if (refusal.code !== "refused") throw refusal;
            await this._logIn();
          }
        });
      } catch (failure) {
        error = failure;
        const passing = ["unreachable", "denied", "unavailable", "lost", "drained", "silent"];
        if (!passing.includes(failure.code)) break;
        seconds = Math.max(failure.retryAfter ?? 0, Math.min(30, seconds * 2));
        continue;
      }
      for (const call of this._again.splice(0)) this._request(call);
      this._emit("reconnected", complete);
      return;
    }
    this._end(error);
  }

  _end(error) {
    this._closed = true;
    for (const { reject } of this._again.splice(0)) reject(error);
    this._forget();
    globalThis.removeEventListener?.("pagehide", this._remember);
    this._emit("closed", error);
  }

  _beat() {
    clearTimeout(this._heartbeat);
    const interval = (this.limits.heartbeat ?? 20) * 1000;
    let answered = true;
    const beat = () => {
      if (!answered) {
        this._goodbye = new CredError("silent", "the server is silent");
        this._lost();
        return;
      }
      answered = false;
      this.call("cred.ping", this.notifications).then(() => (answered = true), () => {});
      this._keep();
      this._heartbeat = setTimeout(beat, interval);
    };
    this._heartbeat = setTimeout(beat, interval);
  }

  // -- reloads of the page ------------------------------------------------------------------------

  get _key() {
    return "actorcred " + this.url;
  }

  _keep() {
    if (this._token !== null) {
      this.options.storage?.setItem(this._key, JSON.stringify([this._token, this.notifications]));
    }
  }

  _recall() {
    const kept = this.options.storage?.getItem(this._key);
    if (!kept) return false;
    [this._token, this.notifications] = JSON.parse(kept);
    this._forget();
    return true;
  }

  _forget() {
    this.options.storage?.removeItem(this._key);
  }

  // -- messages -----------------------------------------------------------------------------------

  _request(call) {
    if (this._socket?.readyState !== WebSocket.OPEN) {
      call.reject(this._goodbye ?? new CredError("lost", "there is no connection"));
      return;
    }
    const id = (this._lastId = (this._lastId % 0xffffffff) + 1);
    this._send([0, id, call.method, call.params]);
    this._calls.set(id, call);
  }

  _send(message) {
    this._socket.send(JSON.stringify(message));
  }

  _received(message) {
    if (message[0] === 1) {
      const [, id, error, result] = message;
      const call = this._calls.get(id);
      this._calls.delete(id);
      if (error === null) call?.resolve(result);
      else call?.reject(new CredError(error.code, error.message, error.retry_after ?? null));
    } else if (message[0] === 2 && message[1] === "cred.goodbye") {
      const [reason, retryAfter] = message[2];
      const text = reason.message || "the server said goodbye";
      this._goodbye = new CredError(reason.code, text, retryAfter ?? null);
      if (reason.code === "moved") {
        this._goodbye.last = reason.last;
        if (reason.token) this._token = reason.token;
        this._keep();
      }
    } else if (message[0] === 2) {
      this.notifications += 1;
      this._emit(message[1], ...message[2]);
    } else if (message[0] === 0) {
      this._answer(message[1], message[2], message[3]);
    }
  }

  _emit(name, ...params) {
    for (const listener of this._listeners.get(name) ?? []) {
      try {
        listener(...params);
      } catch (error) {
        console.error(`the listener of ${name} failed:`, error);
      }
    }
  }

  async _answer(id, method, params) {
    const listener = this._listeners.get(method)?.at(-1);
    try {
      if (listener === undefined) throw new CredError("unknown-method", "no such method");
      this._send([1, id, null, (await listener(...params)) ?? null]);
    } catch (error) {
      if (!(error instanceof CredError)) console.error(`the listener of ${method} failed:`, error);
      const internal = new CredError("internal", "the client failed");
      const { code, message } = error instanceof CredError ? error : internal;
      this._send([1, id, { code, message }, null]);
    }
  }
}

// -- SASL -----------------------------------------------------------------------------------------

function chooseMechanism(offers, secrets, url) {
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  const isPrivate = url.protocol === "wss:" || isLocal;
  const usable = [];
  if (secrets.token) {
    usable.push(isPrivate && new OAuthBearer(secrets));
  } else if (secrets.password === undefined || secrets.password === null) {
    usable.push(new Anonymous());
  } else {
    usable.push(globalThis.crypto?.subtle && new ScramSha256(secrets));
    usable.push(isPrivate && new Plain(secrets));
  }
  const chosen = usable.find((mechanism) => mechanism && offers.includes(mechanism.name));
  if (!chosen) {
    throw new CredError("refused", "the server offers no mechanism that can be used here");
  }
  return chosen;
}

class Anonymous {
  name = "ANONYMOUS";
  start = () => "";
}

class Plain {
  name = "PLAIN";
  constructor(secrets) {
    this.start = () => toBase64(encoder.encode(`\0${secrets.username}\0${secrets.password}`));
  }
}

class OAuthBearer {
  name = "OAUTHBEARER";
  constructor(secrets) {
    this.start = () => toBase64(encoder.encode(`n,,\x01auth=Bearer ${secrets.token}\x01\x01`));
  }
}

/** RFC 5802 and RFC 7677. */
class ScramSha256 {
  name = "SCRAM-SHA-256";

  constructor(secrets) {
    const username = secrets.username.normalize("NFKC");
    this._username = username.replaceAll("=", "=3D").replaceAll(",", "=2C");
    this._password = secrets.password.normalize("NFKC");
  }

  start() {
    this._nonce = toBase64(crypto.getRandomValues(new Uint8Array(18)));
    this._clientFirst = `n=${this._username},r=${this._nonce}`;
    return toBase64(encoder.encode("n,," + this._clientFirst));
  }

  async answer(challenge) {
    const serverFirst = decoder.decode(fromBase64(challenge));
    const fields = fieldsOf(serverFirst);
    if (!fields.r?.startsWith(this._nonce) || !(fields.i >= 4096)) {
      throw new CredError("protocol-error", "the server's SCRAM message cannot be used");
    }
    const withoutProof = `c=biws,r=${fields.r}`;
    const message = encoder.encode(`${this._clientFirst},${serverFirst},${withoutProof}`);
    const salted = await saltPassword(this._password, fromBase64(fields.s), Number(fields.i));
    const clientKey = await hmac(salted, encoder.encode("Client Key"));
    const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
    const signature = await hmac(storedKey, message);
    const serverKey = await hmac(salted, encoder.encode("Server Key"));
    this._serverSignature = toBase64(await hmac(serverKey, message));
    const proof = toBase64(clientKey.map((byte, index) => byte ^ signature[index]));
    return toBase64(encoder.encode(`${withoutProof},p=${proof}`));
  }

  async finish(data) {
    if (fieldsOf(decoder.decode(fromBase64(data ?? ""))).v !== this._serverSignature) {
      throw new CredError(
        "protocol-error",
        "the server does not know the password: it is not the one it claims to be",
      );
    }
  }
}

async function saltPassword(password, salt, iterations) {
  const secret = encoder.encode(password);
  const key = await crypto.subtle.importKey("raw", secret, "PBKDF2", false, ["deriveBits"]);
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, 256));
}

async function hmac(secret, message) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, message));
}

function fieldsOf(text) {
  return Object.fromEntries(text.split(",").map((part) => [part[0], part.slice(2)]));
}

function toBase64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Return the result of a promise, or fail with an error after so many seconds. */
async function within(seconds, promise, error) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(error), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
