// The page of the browser's benchmark: clients of ours, or bare WebSockets that exchange the same
// messages with the same server. Times are in milliseconds.
import { connect } from "./actorcred.js";

let open;
const clients = [];
let heard = 0;
let wanted = Infinity;
let allHeard;
const count = () => (heard += 1) === wanted && allHeard();

async function client(port, number) {
  const made = await connect(`ws://127.0.0.1:${port}/`, {
    username: `u${number}`, password: "x", storage: null, listeners: { n: count },
  });
  return { echo: () => made.call("echo", "hi"), fan: () => made.call("fan") };
}

async function socket(port, number) {
  const made = new WebSocket(`ws://127.0.0.1:${port}/`, "actorcred.json");
  const waiting = new Map();
  let last = 0;
  made.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message[0] === 2) return void count();
    waiting.get(message[1])(message[3]);
    waiting.delete(message[1]);
  };
  const call = (method, params) => new Promise((resolve) => {
    waiting.set((last += 1), resolve);
    made.send(JSON.stringify([0, last, method, params]));
  });
  await new Promise((resolve) => (made.onopen = resolve));
  await call("cred.login", ["PLAIN", btoa(`\0u${number}\0x`)]);
  return { echo: () => call("echo", ["hi"]), fan: () => call("fan", []) };
}

window.open_all = async (kind, port) => {
  open = (number) => (kind === "client" ? client : socket)(port, number);
  clients.push(await open(0));
};

window.connect = async (number) => {
  for (let i = 0; i < number; i++) clients.push(await open(clients.length));
};

window.calls = async (number) => {
  let next = 0;
  const began = performance.now();
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (next++ < number) await clients[0].echo();
  }));
  return performance.now() - began;
};

window.sequential = async (number) => {
  const began = performance.now();
  for (let i = 0; i < number; i++) await clients[0].echo();
  return performance.now() - began;
};

window.notifications = async (number) => {
  heard = 0;
  wanted = number * clients.length;
  const done = new Promise((resolve) => (allHeard = resolve));
  const began = performance.now();
  for (let i = 0; i < number; i++) await clients[0].fan();
  await done;
  return performance.now() - began;
};
