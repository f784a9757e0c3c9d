// The client of Colyseus, measured like the others by driver.py: PORT SERVER_PID SCALE; prints the
// figures as JSON.
import { readFileSync } from "node:fs";
import { Client } from "@colyseus/sdk";

const [port, pid, scale] = process.argv.slice(2).map(Number);
const COUNTS = { sessions: 1000, calls: 40000, sequential: 4000, rounds: 20, idle: 5000 };
const scaled = (count) => Math.max(10, Math.trunc(count * scale));
const counts = Object.fromEntries(
  Object.entries(COUNTS).map(([name, count]) => [name, scaled(count)]),
);
const client = new Client(`ws://127.0.0.1:${port}`);
let heard = 0;
let wanted = Infinity;
let allHeard;

async function login() {
  const room = await client.joinOrCreate("echo", { username: "ann", password: "x" });
  const waiting = new Map();
  let last = 0;
  room.onMessage("echoed", ([id, result]) => {
    waiting.get(id)(result);
    waiting.delete(id);
  });
  room.onMessage("n", () => (heard += 1) === wanted && allHeard());
  const call = (name) => new Promise((resolve) => {
    waiting.set((last += 1), resolve);
    room.send(name, [last, "hi"]);
  });
  return { echo: () => call("echo"), fan: () => call("fan") };
}

async function inFlight(count, width, act) {
  let next = 0;
  const started = performance.now();
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await act(next++);
  }));
  return (count / (performance.now() - started)) * 1000;
}

const status = () => readFileSync(`/proc/${pid}/status`, "utf8");
const resident = () => Number(/VmRSS:\s*(\d+)/.exec(status())[1]);
const sessions = [];
const enter = async () => sessions.push(await login());
const figures = {};
await inFlight(20, 10, enter);
const before = resident();
const already = sessions.length;
figures.logins = await inFlight(Math.max(0, counts.sessions - already), 50, enter);
await inFlight(counts.calls / 10, 64, (i) => sessions[i % sessions.length].echo());
figures.calls = await inFlight(counts.calls, 64, (i) => sessions[i % sessions.length].echo());
const times = [];
for (let i = 0; i < counts.sequential; i++) {
  const started = performance.now();
  await sessions[0].echo();
  times.push((performance.now() - started) * 1000);
}
figures.sequential = times.sort((a, b) => a - b)[times.length >> 1];
heard = 0;
wanted = counts.rounds * sessions.length;
const done = new Promise((resolve) => (allHeard = resolve));
const started = performance.now();
for (let i = 0; i < counts.rounds; i++) await sessions[0].fan();
await done;
figures["fan-out"] = (wanted / (performance.now() - started)) * 1000;
await inFlight(Math.max(0, counts.idle - sessions.length), 50, enter);
figures.memory = (resident() - before) / (sessions.length - already);
console.log(JSON.stringify(figures));
process.exit(0);
