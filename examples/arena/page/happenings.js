// What an event in the world looks and sounds like.

import { GOLD, TEAMS } from "./palette.js";

/** Show an event: [kind, number of the player, detail]. */
export function happen([kind, number, detail], page) {
  const body = page.world.bodies.get(number);
  if (body === undefined) return;
  const isMe = body === page.world.me && page.world.land.name !== null;
  KINDS[kind]?.(page, body, detail, isMe);
}

const KINDS = {
  took({ scene, sound }, body, amount, isMe) {
    scene.effects.burst(body.x, body.y, { count: isMe ? 9 : 4, colour: GOLD, size: 0.07, up: 4 });
    if (!isMe) return;
    scene.effects.rise(body.x, body.y, `+${amount}`, GOLD);
    sound.took();
  },

  brought({ scene, sound, hud }, body, amount, isMe) {
    const { main } = TEAMS[body.team];
    scene.effects.burst(body.x, body.y, { count: isMe ? 40 : 10, colour: GOLD, up: 6, speed: 4 });
    scene.effects.burst(body.x, body.y, { count: isMe ? 24 : 6, colour: main, up: 5, speed: 4 });
    scene.effects.rise(body.x, body.y, `+${amount}`, "#ffffff", isMe ? 1.9 : 1);
    if (!isMe) return;
    sound.brought(amount);
    hud.setPoints(hud.rank.rank, hud.rank.points + amount, hud.rank.total + amount);
  },

  hit(page, body, number, isMe) {
    const { world, scene, sound, camera, hud } = page;
    const rival = world.bodies.get(number);
    if (rival === undefined) return;
    const wasMe = rival === world.me && world.land.name !== null;
    scene.effects.burst(rival.x, rival.y, { count: 16, colour: "#fff3c4", speed: 6, up: 3 });
    if (isMe || wasMe) {
      sound.hit();
      camera.shake = wasMe ? 0.5 : 0.25;
      scene.effects.rise(rival.x, rival.y, wasMe ? "Ouch!" : "Got it!", "#ffffff", 1.2);
    }
    if (wasMe) hud.say(`${body.name} ran into you: pick up your gold!`, performance.now());
  },

  lost({ scene, sound }, body, amount, isMe) {
    scene.effects.rise(body.x, body.y, `-${amount}`, "#b9ccff");
    if (isMe) sound.lost();
  },

  said({ world, scene, sound, talk }, body, text) {
    scene.tags.say(body.number, text, performance.now());
    if (talk.add(world, body, text) && body !== world.me) sound.said();
  },
};
