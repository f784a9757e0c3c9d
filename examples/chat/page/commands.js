// Commands that are typed into the line, such as /join garden.

/** All commands: how each is typed, what it does, and whether it is for moderators. */
export const COMMANDS = [
  { word: "join", typed: "/join ROOM", does: "enter a room" },
  { word: "leave", typed: "/leave", does: "leave this room" },
  { word: "rooms", typed: "/rooms", does: "list the rooms" },
  { word: "who", typed: "/who", does: "say who is here" },
  { word: "msg", typed: "/msg NAME TEXT", does: "write to one person" },
  { word: "kick", typed: "/kick NAME WHY", does: "end a user's sessions", moderator: true },
  { word: "mute", typed: "/mute NAME MINUTES", does: "silence; 0 lifts it", moderator: true },
  { word: "ban", typed: "/ban NAME MINUTES WHY", does: "kick, and refuse logins", moderator: true },
  { word: "help", typed: "/help", does: "show this" },
];

/**
 * Read what was typed.
 *
 * @returns {object} { word, words }: the command and its parts. The word is "say" for a text.
 * @throws {Error} if it is no command, or is typed in another way.
 */
export function parse(text) {
  if (text.startsWith("//")) return { word: "say", words: [text.slice(1)] };
  const [, word, rest] = /^\/(\w*)\s*([^]*)$/.exec(text) ?? [];
  if (word === undefined) return { word: "say", words: [text] };
  const command = COMMANDS.find((one) => one.word === word.toLowerCase());
  if (!command) {
    throw new Error(`There is no /${word}. Type /help for what there is, or //${word} to say it.`);
  }
  const count = command.typed.split(" ").length - 1;
  const words = split(rest.trim(), count);
  const needed = command.typed.endsWith(" WHY") ? count - 1 : count;
  const isWrong = words.length < needed || (count === 0 && rest.trim());
  const minutes = command.typed.includes("MINUTES") ? Number(words[1]) : 0;
  if (isWrong || !(minutes >= 0)) throw new Error(`Type ${command.typed}`);
  return { word: command.word, words };
}

/** Split a text at blanks into at most so many parts; the last one keeps its blanks. */
function split(text, count) {
  const parts = [];
  let rest = text;
  while (rest && parts.length < count - 1) {
    const [, part, more] = /^(\S+)\s*([^]*)$/.exec(rest);
    parts.push(part);
    rest = more;
  }
  if (rest && count) parts.push(rest);
  return parts;
}
