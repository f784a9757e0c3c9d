// The page of the notes: the form to log in, and what the API says.

const $ = (selector) => document.querySelector(selector);

async function ask(method, path, body) {
  const answer = await fetch(`api/${path}`, {
    method,
    headers: { "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const data = await answer.json().catch(() => ({}));
  if (answer.ok) return data;
  if (answer.status === 401) show(false);
  const wait = answer.headers.get("retry-after");
  const why = typeof data.detail === "string" ? data.detail : "this does not work";
  throw new Error(wait ? `${why}; try again in ${wait} s` : why);
}

function show(inside) {
  $("#login").hidden = inside;
  $("#inside").hidden = !inside;
}

async function enter() {
  const { name } = await ask("GET", "session");
  show(true);
  await list();
  $("#status").textContent = `You are ${name}.`;
}

async function list() {
  const notes = await ask("GET", "notes");
  $("#notes").replaceChildren(...notes.map(({ number, text }) => {
    const item = document.createElement("li");
    const said = document.createElement("span");
    const remove = document.createElement("button");
    said.textContent = text;
    remove.textContent = "Delete";
    remove.addEventListener("click", attempt(async () => {
      await ask("DELETE", `notes/${number}`);
      await list();
    }));
    item.append(said, remove);
    return item;
  }));
}

/** Return a listener that shows what goes wrong. */
function attempt(work) {
  return async (event) => {
    event?.preventDefault();
    try {
      $("#status").textContent = "";
      await work();
    } catch (error) {
      $("#status").textContent = error.message;
    }
  };
}

const secrets = () => ({ name: $("#username").value, password: $("#password").value });

$("#login").addEventListener("submit", attempt(async () => {
  await ask("POST", "session", secrets());
  await enter();
}));
$("#sign-up").addEventListener("click", attempt(async () => {
  await ask("POST", "accounts", secrets());
  await ask("POST", "session", secrets());
  await enter();
}));
$("#add").addEventListener("submit", attempt(async () => {
  await ask("POST", "notes", { text: $("#text").value });
  $("#text").value = "";
  await list();
}));
$("#leave").addEventListener("click", attempt(async () => {
  await ask("DELETE", "session");
  show(false);
}));

await enter().catch(() => show(false)); // not logged in yet
document.body.dataset.ready = "";
