// Drives the Node.js client for tests/rpc/test_other_languages.py; prints what it saw as JSON.
// It resumes at a second URL, if there is one.
import { Client } from "../../examples/clients/client.mjs";

const [url, elsewhere = url] = process.argv.slice(2);
const code = (promise) => promise.catch((error) => [error.code, error.message, error.retryAfter]);
const heard = [];
let enough;
const all = () => new Promise((resolve) => (enough = resolve));
const note = (name) => (...params) => {
  heard.push([name, ...params]);
  if (params[0] === 2 || name === "more") enough();
};

const client = await Client.connect(url);
for (const name of ["welcome", "tick"]) client.on(name, note(name));
client.on("times seven", (number) => number * 7);
const seen = {
  wrong: await code(client.login("ann", "wrong")),
  early: await code(client.call("move", 1)),
};
await client.login("ann", "s3cret", { interface: "Player", client: ["node", "1"] });
seen.avatar_id = client.avatarId;
seen.moved = await client.call("move", 3, 4);
const three = all();
await client.call("tell", 3);
await three;
seen.heard = [...heard];
seen.counted = client.notifications;
seen.asked = await client.call("ask_client", "times seven");
seen.unasked = await code(client.call("ask_client", "nonsense"));
seen.failed = await code(client.call("fail", "politely"));
seen.many = await Promise.all(Array.from({ length: 20 }, (_, n) => client.call("echo", n)));
await client.close();

const again = await Client.connect(elsewhere);
again.on("more", note("more"));
seen.whole = await again.resume(client);
const one = all();
await again.call("tell", 1, "more");
await one;
seen.resumed = [again.session === client.session, again.notifications, await again.call("move", 1)];
const third = await Client.connect(url);
seen.used = await code(third.resume(client));
await third.close();
seen.goodbye = await again.logout();
seen.after = await code(again.call("move", 1));
console.log(JSON.stringify(seen));
