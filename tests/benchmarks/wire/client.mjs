// The client of Colyseus: does what standard input says, as game.py tells.
import { createInterface } from "node:readline";
import { Client } from "@colyseus/sdk";

const client = new Client(`ws://127.0.0.1:${process.argv[2]}`);
const sessions = [];
let visitors = [];
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
  return { echo: () => call("echo"), fan: () => call("fan"), close: () => room.leave() };
}

async function inFlight(count, width, act) {
  let next = 0;
  const began = performance.now();
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await act(next++);
  }));
  return (count / (performance.now() - began)) * 1000;
}

const orders = {
  open: (count) =>
    inFlight(Math.max(0, count - sessions.length), 50, async () => sessions.push(await login())),
  logins: (count) => inFlight(count, 50, async () => visitors.push(await login())),
  close: () => {
    const leaving = visitors;
    visitors = [];
    return inFlight(leaving.length, 50, (i) => leaving[i].close());
  },
  calls: (count) => inFlight(count, 64, (i) => sessions[i % sessions.length].echo()),
  bursts: (count) => inFlight(count, 64, () => sessions[0].echo()),
  sequential: async (count) => {
    const times = [];
    for (let i = 0; i < count; i++) {
      const began = performance.now();
      await sessions[0].echo();
      times.push((performance.now() - began) * 1000);
    }
    return times.sort((a, b) => a - b)[times.length >> 1];
  },
  "fan-out": async (count) => {
    heard = 0;
    wanted = count * sessions.length;
    const done = new Promise((resolve) => (allHeard = resolve));
    const began = performance.now();
    for (let i = 0; i < count; i++) await sessions[0].fan();
    await done;
    return (wanted / (performance.now() - began)) * 1000;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [order, count] = line.split(" ");
  console.log(JSON.stringify(await orders[order](Number(count))));
}
process.exit(0);
