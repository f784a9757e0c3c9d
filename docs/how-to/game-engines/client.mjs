// A client in Node.js, which sends the lines that player.gd and Player.cs send, and prints them.
// It needs Node.js 22, or 20.10 with --experimental-websocket.
//     node client.mjs ws://127.0.0.1:8000/rpc/socket ann s3cret

const [url, user, password] = process.argv.slice(2);
const socket = new WebSocket(url, "actorcred.json");
const waiting = new Map();
let lastId = 0;

function send(message) {
  const line = JSON.stringify(message);
  console.log(`--> ${line}`);
  socket.send(line);
}

function call(method, ...params) {
  lastId += 1;
  send([0, lastId, method, params]);
  return new Promise((resolve, reject) => waiting.set(lastId, { resolve, reject }));
}

socket.onmessage = ({ data }) => {
  console.log(`<-- ${data}`);
  const [kind, ...rest] = JSON.parse(data);
  if (kind === 0) {
    send([1, rest[0], { code: "unknown-method", message: "no such method" }, null]);
  } else if (kind === 1) {
    const [id, error, result] = rest;
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(`${error.code}: ${error.message}`));
    else resolve(result);
  } // 2 is a notification: its name is rest[0], its parameters are rest[1]
};

await new Promise((resolve, reject) => {
  socket.onopen = resolve;
  socket.onerror = () => reject(new Error(`there is no server at ${url}`));
});
const secret = Buffer.from(`\0${user}\0${password}`).toString("base64");
const options = { interface: "Player", resume: false };
await call("cred.login", "PLAIN", secret, options);
await call("move", "east", 2);
await call("say", "hello");
await call("cred.logout");
