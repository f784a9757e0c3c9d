// The chat of a user who is logged in: what the server tells, and what the user does.

import { $, show } from "./common/dom.js";
import { isPassing } from "./common/words.js";
import { parse } from "./commands.js";
import { showAllRooms, showHelp, showPerson } from "./dialogs.js";
import { Line } from "./line.js";
import { Lines, face } from "./lines.js";
import { Outbox } from "./outbox.js";
import { Room, partnerOf } from "./room.js";
import { showHead, showRooms } from "./side.js";

const LOBBY = "lobby";

export class Chat {
  constructor() {
    this.client = null;
    this.myself = "";
    this.rooms = new Map();
    this.online = new Set();
    this.current = LOBBY;
    this.lastSent = "";
    this.outbox = null;
    this.lines = new Lines({
      person: (name) => this.openPerson(name),
      retry: (key) => this.outbox.retry(key),
      discard: (key) => this.outbox.remove(key),
      scrolled: (isAtEnd) => this.scrolled(isAtEnd),
    });
    this.line = new Line((text) => this.typed(text), () => this.lastSent);
    this.bind();
  }

  get room() {
    return this.rooms.get(this.current);
  }

  /** What the server tells, by name; for the client's listeners. */
  get listeners() {
    return {
      said: (room, line) => this.said(room, line),
      came: (room, name) => this.moved(room, name, true),
      went: (room, name, why) => this.moved(room, name, false, why),
      joined: (name) => { this.known(name); this.showRooms(); },
      left: (name) => this.left(name),
      read: (name, number) => this.readElsewhere(name, number),
      muted: (seconds) => this.tell(
        seconds ? `You are muted for ${seconds / 60} minutes.` : "You may speak again.",
      ),
      moderator: (isOne) => this.setModerator(isOne),
      presence: (name, online) => this.present(name, online),
    };
  }

  // -- coming and going ---------------------------------------------------------------------------

  /**
   * Take up the conversation: after a login, a reload, or a time without a connection.
   * `ready` is called when there is something to show.
   */
  async enter(client, ready) {
    this.client = client;
    const welcome = await client.call("welcome");
    ready();
    this.online.clear();
    this.begin(welcome.name);
    this.setModerator(welcome.moderator);
    const names = new Set(welcome.rooms.map((room) => room.room));
    for (const name of this.rooms.keys()) if (!names.has(name)) this.rooms.delete(name);
    for (const { room, read, unread } of welcome.rooms) {
      Object.assign(this.known(room), { read, unread, stale: true });
    }
    const first = welcome.rooms.find(({ room }) => partnerOf(room) === null)?.room;
    if (!this.rooms.has(this.current)) this.current = this.rooms.has(LOBBY) ? LOBBY : first;
    if (this.current === undefined) await this.join(LOBBY);
    else await this.open(this.current);
    this.outbox.flush();
  }

  begin(name) {
    if (this.outbox !== null && this.myself === name) return;
    this.myself = name;
    this.current = sessionStorage.getItem("chat room") ?? LOBBY;
    this.outbox = new Outbox(
      name,
      sessionStorage,
      (room, text, key) => this.send(room, text, key),
      () => this.lines.showPending(this.outbox.of(this.current)),
    );
    $("#you").textContent = name;
    $("#own-face").replaceChildren(face(name));
  }

  /** The session is over. */
  end() {
    this.client = null;
    this.rooms.clear();
    this.outbox = null;
    this.line.text = "";
    for (const id of ["lines", "pending", "rooms", "conversations", "names"]) {
      $(`#${id}`).replaceChildren();
    }
    document.title = "The chat";
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  }

  setModerator(isOne) {
    this.isModerator = isOne;
    $("#role").hidden = !isOne;
  }

  // -- rooms --------------------------------------------------------------------------------------

  known(name) {
    if (!this.rooms.has(name)) this.rooms.set(name, new Room(name));
    return this.rooms.get(name);
  }

  async join(name) {
    await this.open(await this.client.call("join", name));
  }

  /** Show a room. */
  async open(name) {
    const before = this.room;
    if (before && before.name !== name) {
      before.draft = this.line.text;
      before.newFrom = null;
    }
    const room = this.known(name);
    this.current = name;
    sessionStorage.setItem("chat room", name);
    closeDrawers();
    const partner = partnerOf(name);
    $("#text").placeholder = partner ? `Write to ${partner}` : `Say something in # ${name}`;
    if (before?.name !== name) this.line.text = room.draft;
    const seen = room.read;
    const hadUnread = room.unread > 0;
    this.showLines();
    if (matchMedia("(pointer: fine)").matches) this.line.focus();
    if (room.loaded && !room.stale) this.lookedAt();
    else await this.load(room);
    if (hadUnread && this.current === name) this.markNew(room, seen);
    if (partner === null) await this.whoIsIn(room);
  }

  async load(room) {
    const lines = await this.client.call("lines", room.name, 0);
    room.merge(lines);
    room.stale = false;
    if (room === this.room) {
      this.showLines(true);
      this.lookedAt();
    }
  }

  markNew(room, seen) {
    const first = room.entries.find((entry) => (
      !entry.event && entry.number > seen && entry.name !== this.myself
    ));
    room.newFrom = first?.number ?? null;
    this.showLines(true);
  }

  async whoIsIn(room) {
    room.people = new Set(await this.client.call("who", room.name));
    for (const name of room.people) this.online.add(name);
    if (room === this.room) this.showHead();
  }

  async showEarlier() {
    const room = this.room;
    room.mergeEarlier(await this.client.call("lines", room.name, room.firstNumber ?? 0));
    if (room !== this.room) return;
    const { scrollHeight, scrollTop } = this.lines.scroller;
    this.showLines();
    this.lines.scroller.scrollTop = this.lines.scroller.scrollHeight - scrollHeight + scrollTop;
  }

  async leaveRoom() {
    const isLast = ![...this.rooms.keys()].some((name) => (
      name !== this.current && partnerOf(name) === null
    ));
    if (partnerOf(this.current) === null && isLast) {
      this.tell("This is your last room. Enter another one first.");
    } else {
      await this.client.call("leave", this.current);
    }
  }

  left(name) {
    if (!this.rooms.delete(name)) return;
    if (name !== this.current) {
      this.showRooms();
      return;
    }
    const rooms = [...this.rooms.keys()].filter((one) => partnerOf(one) === null);
    this.run(() => this.open(rooms.includes(LOBBY) ? LOBBY : rooms[0]));
  }

  // -- what is told -------------------------------------------------------------------------------

  said(name, line) {
    const room = this.known(name);
    if (line.name === this.myself) this.outbox?.remove(line.key);
    const how = room.add(line);
    if (how === "known") return;
    const isOwn = line.name === this.myself;
    if (!isOwn) this.online.add(line.name);
    if (!isOwn && line.number > room.read) room.unread += 1;
    if (name === this.current) {
      $("#empty").hidden = true;
      if (how === "appended" && this.lines.last !== null) this.lines.append(line);
      else this.showLines(true);
      this.lookedAt();
    }
    this.showRooms();
  }

  moved(name, who, isHere, why = "") {
    const room = this.rooms.get(name);
    if (!room || room.people.has(who) === isHere) return;
    if (isHere) room.people.add(who);
    else room.people.delete(who);
    if (isHere) {
      this.online.add(who);
      this.client?.notify("follow", who); // a server that is killed does not say who went
    }
    room.addEvent(`${who} ${isHere ? "came" : "went"}${why ? ` (${why})` : ""}`);
    if (room === this.room) {
      this.lines.append(room.entries.at(-1));
      this.showHead();
    }
  }

  present(name, isOnline) {
    if (isOnline) this.online.add(name);
    else this.online.delete(name);
    if (!isOnline && name !== this.myself) {
      for (const room of this.rooms.values()) {
        if (room.people.has(name)) this.moved(room.name, name, false);
      }
    }
    this.showRooms();
    if (this.room) this.showHead();
  }

  readElsewhere(name, number) {
    this.rooms.get(name)?.readUpTo(number, this.myself);
    this.showRooms();
  }

  /** Note that the user sees the last line of the open room, if so. */
  lookedAt() {
    const room = this.room;
    if (!room?.unread || document.hidden || !this.lines.isAtEnd) return;
    room.unread = 0;
    room.read = room.last;
    this.showRooms();
    this.client?.notify("read", room.name, room.last);
  }

  scrolled(isAtEnd) {
    $("#to-end").hidden = isAtEnd;
    if (isAtEnd) this.lookedAt();
  }

  // -- what the user does -------------------------------------------------------------------------

  typed(text) {
    this.lastSent = text;
    this.run(async () => {
      const { word, words } = parse(text);
      await this.commands[word](...words);
    });
  }

  commands = {
    say: (text) => this.outbox.add(this.current, text),
    join: (name) => this.join(name),
    leave: () => this.leaveRoom(),
    rooms: () => this.browse(),
    who: async () => this.tell(`Here: ${(await this.client.call("who", this.current)).join(", ")}`),
    msg: async (name, text) => {
      this.outbox.add(`@${name}`, text);
      await this.open(`@${name}`);
    },
    kick: async (name, why = "") => {
      const count = await this.client.call("kick", name, why);
      this.tell(count ? `${name} was kicked.` : `${name} was not here.`);
    },
    mute: async (name, minutes) => {
      await this.client.call("mute", name, Number(minutes));
      const until = `is muted for ${minutes} minutes`;
      this.tell(`${name} ${Number(minutes) ? until : "may speak"}.`);
    },
    ban: async (name, minutes, why = "") => {
      await this.client.call("ban", name, Number(minutes), why);
      const until = `is banned for ${minutes} minutes`;
      this.tell(`${name} ${Number(minutes) ? until : "may come back"}.`);
    },
    help: () => showHelp(this.isModerator),
  };

  async send(room, text, key) {
    const number = await this.client.call("say", room, text, key);
    this.rooms.get(room)?.readUpTo(number, this.myself);
    this.showRooms();
  }

  openPerson(name) {
    if (name === this.myself) return;
    const state = this.online.has(name) ? "online" : "not here now";
    showPerson({ name, state, isModerator: this.isModerator }, face(name), (what, why) => {
      const orders = {
        write: () => this.open(`@${name}`),
        mute: () => this.commands.mute(name, 5),
        unmute: () => this.commands.mute(name, 0),
        kick: () => this.commands.kick(name, why),
        ban: () => this.commands.ban(name, 60, why),
      };
      this.run(orders[what]);
    });
  }

  async browse() {
    const listed = await this.client.call("rooms");
    showAllRooms(listed, this.rooms, (name) => this.run(() => this.join(name)));
  }

  /** Do something, and tell in the room if it fails. */
  async run(action) {
    try {
      await action();
    } catch (error) {
      this.tell(problem(error));
    }
  }

  bind() {
    $("#browse").addEventListener("click", () => this.run(() => this.browse()));
    $("#help").addEventListener("click", () => showHelp(this.isModerator));
    $("#leave-room").addEventListener("click", () => this.run(() => this.leaveRoom()));
    $("#earlier").addEventListener("click", () => this.run(() => this.showEarlier()));
    $("#to-end").addEventListener("click", () => this.lines.toEnd());
    $("#open-side").addEventListener("click", () => openDrawer("side"));
    $("#open-people").addEventListener("click", () => openDrawer("people"));
    for (const one of document.querySelectorAll("[data-close]")) {
      one.addEventListener("click", closeDrawers);
    }
    document.addEventListener("keydown", (event) => event.key === "Escape" && closeDrawers());
    document.addEventListener("visibilitychange", () => this.lookedAt());
  }

  // -- showing ------------------------------------------------------------------------------------

  /** Show a message for the user alone. */
  tell(text) {
    this.room?.addEvent(text);
    if (this.room) this.lines.append(this.room.entries.at(-1));
  }

  showLines(keep = false) {
    const room = this.room;
    this.lines.show(room, this.myself, keep);
    this.lines.showPending(this.outbox.of(room.name));
    $("#earlier").hidden = !room.hasEarlier;
    const nothing = room.loaded && room.entries.length === 0;
    show($("#empty"), nothing ? "Nothing has been said here yet." : null);
    this.showRooms();
    this.showHead();
  }

  showRooms() {
    showRooms(this.rooms, this.current, this.online, (name) => this.run(() => this.open(name)));
  }

  showHead() {
    showHead(this.room, this.online, this.myself, (name) => this.openPerson(name));
  }
}

/** Why something could not be done, in words. */
function problem(error) {
  if (isPassing(error)) return "There is no connection at the moment. Try again when it is back.";
  return error.code === "forbidden" ? "Only moderators may do that." : error.message;
}

function openDrawer(name) {
  $("#chat").dataset.drawer = name;
  $("#shade").hidden = false;
}

function closeDrawers() {
  delete $("#chat").dataset.drawer;
  $("#shade").hidden = true;
}
