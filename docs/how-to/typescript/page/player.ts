// The interface `Player` of the server, as clients see it that speak JSON.
//
//     import { connect } from "./actorcred.js";
//     import type { Player } from "./player.js";
//     const client = await connect<Player>("/rpc/socket", { username, password });
//
// Made by `actorcred stubs game:Player --language ts`. Make it again when the interface has changed.

export interface Player {
  move(way: "east" | "north" | "south" | "west", steps?: number): Place;
  say(text: string): number;
}

export interface Place {
  x: number;
  y: number;
}
