// A client in Node.js for any actorcred server: JSON over WebSocket, login by SCRAM-SHA-256, calls,
// notifications, requests of the server, and resuming a session. It was written from
// docs/protocol.md and needs Node.js 22, or 20.10 with the flag --experimental-websocket, and no
// package. For browsers the server has its own client, which reconnects by itself.
//
//     const client = await Client.connect("ws://127.0.0.1:9987/");
//     client.on("moved", (x, y) => console.log("at", x, y));
//     await client.login("ann", "s3cret", { interface: "Player" });
//     await client.call("move", 1, 0);
//     await client.logout();
// Or, to call one method:  PASSWORD=s3cret node client.mjs ws://127.0.0.1:9987/ ann move 1 0

import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

/** A login or call failed: `code` is the reason, `retryAfter` the seconds until the next try. */
export class CredError extends Error {
  constructor({ code, message, retry_after: retryAfter = null }) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** One connection. `closed` is a promise of its end: the server's goodbye, or an error. */
export class Client {
  #socket;
  #lastId = 0;
  #waiting = new Map();
  #handlers = new Map();
  #goodbye = { code: "lost", message: "the connection was lost" };
  notifications = 0;

  static async connect(url) {
    const socket = new WebSocket(url, "actorcred.json");
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      const message = `there is no server at ${url}`;
      socket.onclose = () => reject(new CredError({ code: "unreachable", message }));
    });
    return new Client(socket);
  }

  constructor(socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => (socket.onclose = resolve)).then(() => this.#lost());
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
  }

  /**
   * Call a function at each notification or request of this name. The function's value is the
   * answer to a request.
   */
  on(name, handler) {
    this.#handlers.set(name, handler);
  }

  /** Call a method; returns a promise of its result. */
  call(method, ...params) {
    if (this.#socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new CredError(this.#goodbye));
    }
    const id = (this.#lastId += 1);
    this.#send([0, id, method, params]);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** Log in; `options` are those of cred.login. */
  async login(name, password, options = {}) {
    const nonce = randomBytes(18).toString("base64");
    const first = `n=${name.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=${nonce}`;
    const message = toBase64(`n,,${first}`);
    const { challenge } = await this.call("cred.login", "SCRAM-SHA-256", message, options);
    const [proof, signature] = await scram(fromBase64(challenge), first, nonce, password);
    const answer = await this.call("cred.respond", toBase64(proof));
    if (fromBase64(answer.data) !== `v=${signature}`) {
      throw new CredError({ code: "protocol-error", message: "not the right server" });
    }
    return this.#enter(answer);
  }

  /**
   * Resume the session of another client, whose connection was lost. Returns whether no
   * notification was lost.
   */
  async resume(lost) {
    const answer = this.#enter(await this.call("cred.resume", lost.token, lost.notifications));
    this.notifications += answer.notifications; // some might have arrived since
    return !answer.refresh;
  }

  async logout() {
    await this.call("cred.logout");
    return this.closed;
  }

  /** Close without a logout: the session can be resumed. */
  close() {
    this.#socket.close();
    return this.closed;
  }

  #enter(answer) {
    ({
      avatar_id: this.avatarId,
      session: this.session,
      limits: this.limits,
      token: this.token,
    } = answer);
    return answer;
  }

  #send = (message) => this.#socket.send(JSON.stringify(message));

  #receive([kind, ...rest]) {
    [this.#reply, this.#answered, this.#notified][kind].apply(this, rest);
  }

  async #reply(id, method, params) {
    const handler = this.#handlers.get(method);
    if (handler) this.#send([1, id, null, (await handler(...params)) ?? null]);
    else this.#send([1, id, { code: "unknown-method", message: `no method ${method}` }, null]);
  }

  #answered(id, error, result) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    return error ? reject(new CredError(error)) : resolve(result);
  }

  #notified(name, params) {
    if (name === "cred.goodbye") return (this.#goodbye = params[0]);
    this.notifications += 1;
    return this.#handlers.get(name)?.(...params);
  }

  #lost() {
    for (const { reject } of this.#waiting.values()) reject(new CredError(this.#goodbye));
    this.#waiting.clear();
    return this.#goodbye;
  }
}

const toBase64 = (text) => Buffer.from(text).toString("base64");
const fromBase64 = (text) => Buffer.from(text, "base64").toString();
const hmac = (key, data) => createHmac("sha256", key).update(data).digest();

async function scram(challenge, first, nonce, password) {
  const pairs = challenge.split(",").map((field) => [field[0], field.slice(2)]);
  const fields = Object.fromEntries(pairs);
  if (!fields.r.startsWith(nonce) || !(fields.i >= 4096)) {
    throw new CredError({ code: "protocol-error", message: "a bad challenge" });
  }
  const salt = Buffer.from(fields.s, "base64");
  const normalized = password.normalize("NFKC");
  const salted = await promisify(pbkdf2)(normalized, salt, +fields.i, 32, "sha256");
  const last = `c=biws,r=${fields.r}`;
  const signed = `${first},${challenge},${last}`;
  const key = hmac(salted, "Client Key");
  const mask = hmac(createHash("sha256").update(key).digest(), signed);
  const proof = key.map((byte, index) => byte ^ mask[index]);
  return [
    `${last},p=${proof.toString("base64")}`,
    hmac(hmac(salted, "Server Key"), signed).toString("base64"),
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [url, name, method, ...params] = process.argv.slice(2);
  const client = await Client.connect(url);
  await client.login(name, process.env.PASSWORD);
  const result = await client.call(method, ...params.map((param) => JSON.parse(param)));
  console.log(JSON.stringify(result));
  await client.logout();
}
