import { connect, CredError, resume, type Client } from "./actorcred.js";
import type { Player } from "./player.js";

const element = <T extends Element>(name: string): T => document.querySelector<T>(name)!;
const status = element("p");
const show = (text: string): void => void (status.textContent = text);

function said(name: string, text: string): void {
  const line = document.createElement("li");
  line.textContent = `${name}: ${text}`;
  element("ul").append(line);
}

const options = { listeners: { said } };

// After a reload of the page, the session goes on; otherwise a guest comes in.
async function enter(): Promise<Client<Player>> {
  return (
    (await resume<Player>("/rpc/socket", options)) ??
    (await connect<Player>("/rpc/socket", options))
  );
}

try {
  const client = await enter();
  show("You are in");
  client.on("reconnecting", (error, seconds) => show(`${error.message}: again in ${seconds} s`));
  client.on("reconnected", () => show("You are in again"));
  client.on("closed", (error) => show(error.message));

  element<HTMLButtonElement>("button").onclick = async () => {
    const { x, y } = await client.call("move", "east", 2);
    show(`You are at ${x}, ${y}`);
  };
  element<HTMLInputElement>("input").onchange = async (event) => {
    const input = event.target as HTMLInputElement;
    const heard: number = await client.call("say", input.value);
    show(`${heard} heard you`);
  };
} catch (error) {
  show(error instanceof CredError ? `${error.code}: ${error.message}` : String(error));
}
