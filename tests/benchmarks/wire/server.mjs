// The same as a room of Colyseus: prints its port and process id.
import { Room, Server } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";

class EchoRoom extends Room {
  onCreate() {
    this.maxClients = 100_000;
    this.autoDispose = false;
    this.onMessage("echo", (client, [id, text]) => client.send("echoed", [id, text]));
    this.onMessage("fan", (client, [id]) => {
      this.broadcast("n", "hello");
      client.send("echoed", [id, this.clients.length]);
    });
  }

  onAuth(client, options) {
    return options.username !== undefined; // accepts everyone, without hashing
  }
}

const transport = new WebSocketTransport({ pingInterval: 0 });
const server = new Server({ transport, greet: false });
server.define("echo", EchoRoom);
await server.listen(0, "127.0.0.1");
console.log(transport.server.address().port, process.pid);
