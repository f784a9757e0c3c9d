// The page of the chat: shows the room, and sends lines.

import { start } from "./session.js";

const KEPT = 500; // lines on the page
const list = document.querySelector("#lines");
const text = document.querySelector("#text");
const people = new Set();
let myself = "";
let client = null;

const listeners = {
  you: (name) => (myself = name),
  room(names, lines) {
    people.clear();
    for (const name of names) people.add(name);
    list.replaceChildren();
    for (const line of lines) add(...line);
    showPeople();
  },
  said: add,
  came: (name) => (people.add(name), showPeople()),
  left: (name) => (people.delete(name), showPeople()),
};

function showPeople() {
  document.querySelector("#people").textContent = `Here: ${[...people].sort().join(", ")}`;
}

function add(seconds, name, said) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  const who = document.createElement("b");
  const when = new Date(seconds * 1000);
  time.dateTime = when.toISOString();
  time.textContent = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  who.textContent = `${name}: `;
  item.append(time, who, said);
  item.className = name === myself ? "mine" : "";
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.childElementCount > KEPT) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

document.querySelector("#say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = text.value;
  if (!said.trim()) return;
  try {
    await client.call("say", said);
    text.value = "";
  } catch (error) {
    document.querySelector("#status").textContent = error.message;
  }
});

start(listeners, (logged) => (client = logged), () => (client = null));
