// The page of the cluster: where each user is, asked for once per second.

const $ = (selector, within = document) => within.querySelector(selector);
const PERIOD = 1000;
const KEPT = 8;

const WORDS = {
  starting: "starting",
  serving: "serving",
  draining: "draining",
  killed: "killed",
  stopped: "stopped",
};

let seen = null; // name -> number of the node, as it was last time
let states = null; // number -> state
const happened = [];

async function ask(path, options) {
  const answer = await fetch(path, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

async function look() {
  try {
    show(await ask("state"));
  } catch (error) {
    complain(`The page has lost its server: ${error.message}. Start it again with make cluster.`);
  }
  setTimeout(look, PERIOD);
}

async function order(number, what) {
  try {
    show(await ask(`nodes/${number}/${what}`, {
      method: "POST",
      headers: { "X-Cluster-Page": "1" },
    }));
  } catch (error) {
    complain(`Node ${number}: ${error.message}.`);
  }
}

function complain(text) {
  $("#status").textContent = text ?? "";
  $("#status").hidden = !text;
}

function show(state) {
  complain(null);
  $("#lease").textContent = (state.lease * 1.25).toFixed(1);
  for (const node of state.nodes) showNode(node);
  const total = state.nodes.reduce((sum, node) => sum + node.users.length, 0);
  $("#total").textContent = `${total} logged in`;
  compare(state.nodes);
}

function showNode(node) {
  const card = $(`#node-${node.number}`) ?? makeCard(node);
  card.dataset.state = node.state;
  $(".state", card).textContent = WORDS[node.state];
  const link = document.createElement("a");
  link.href = `http://${location.hostname}:${node.port}/`;
  link.target = "_blank";
  link.textContent = `Open the chat at port ${node.port}`;
  const runs = node.state === "serving" || node.state === "draining";
  $(".where", card).replaceChildren(node.state === "serving" ? link : `Port ${node.port}`);
  if (runs) $(".where", card).append(` · process ${node.pid}`);
  showUsers($(".users", card), node);
  $("[data-order=kill]", card).disabled = !runs;
  $("[data-order=drain]", card).disabled = node.state !== "serving";
  $("[data-order=start]", card).disabled = runs || node.state === "starting";
}

function makeCard(node) {
  const card = $("#node").content.firstElementChild.cloneNode(true);
  card.id = `node-${node.number}`;
  card.setAttribute("aria-label", `Node ${node.number}`);
  $(".name", card).textContent = `Node ${node.number}`;
  for (const button of card.querySelectorAll("button")) {
    button.addEventListener("click", () => order(node.number, button.dataset.order));
  }
  $("#nodes").append(card);
  return card;
}

function showUsers(list, node) {
  const names = [...new Set(node.users)].sort();
  if (list.dataset.names === names.join("\n") && list.children.length) return;
  list.dataset.names = names.join("\n");
  list.replaceChildren(...(names.length ? names : [null]).map((name) => {
    const item = document.createElement("li");
    item.textContent = name ?? "No users";
    if (name === null) item.className = "empty";
    return item;
  }));
}

// What has changed since the last look becomes a line.
function compare(nodes) {
  const now = new Map();
  for (const node of nodes) for (const name of node.users) now.set(name, node.number);
  if (states) {
    for (const node of nodes) {
      if (states.get(node.number) !== node.state) tell(`Node ${node.number}: ${WORDS[node.state]}`);
    }
  }
  if (seen) {
    for (const [name, number] of now) {
      if (!seen.has(name)) tell(`${name} is on node ${number}`);
      else if (seen.get(name) !== number) {
        tell(`${name} went from node ${seen.get(name)} to node ${number}`);
      }
    }
    for (const [name, number] of seen) {
      if (!now.has(name)) tell(`${name} has left node ${number}`);
    }
  }
  seen = now;
  states = new Map(nodes.map((node) => [node.number, node.state]));
}

function tell(text) {
  happened.unshift({ at: new Date(), text });
  happened.splice(KEPT);
  $("#happened").replaceChildren(...happened.map((entry) => {
    const item = document.createElement("li");
    const time = document.createElement("time");
    time.textContent = entry.at.toLocaleTimeString([], { hour12: false });
    item.append(time, entry.text);
    return item;
  }));
}

look();
