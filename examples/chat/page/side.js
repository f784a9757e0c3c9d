// The lists beside the lines: the rooms and conversations of the user, and who is here.

import { $, element, setText, show } from "./common/dom.js";
import { face } from "./lines.js";
import { partnerOf } from "./room.js";

/** Show the rooms. `online` is the set of users that are known to be online. */
export function showRooms(rooms, current, online, open) {
  const button = (room) => {
    const partner = partnerOf(room.name);
    const made = element("button", { type: "button" });
    if (partner === null) made.append(element("span", { className: "hash", textContent: "#" }));
    else {
      const picture = face(partner);
      picture.classList.toggle("online", online.has(partner));
      made.append(picture);
    }
    made.append(element("span", { className: "label", textContent: partner ?? room.name }));
    if (room.unread) {
      const count = room.unread >= 100 ? "99+" : room.unread;
      made.append(element("span", { className: "badge", title: "unread", textContent: count }));
    }
    made.dataset.room = room.name;
    if (room.name === current) made.setAttribute("aria-current", "true");
    made.addEventListener("click", () => open(room.name));
    return element("li", {}, made);
  };
  const all = [...rooms.values()];
  const byName = (one, other) => one.name.localeCompare(other.name);
  const isPrivate = (room) => partnerOf(room.name) !== null;
  const conversations = all.filter(isPrivate).sort((one, other) => other.last - one.last);
  $("#rooms").replaceChildren(...all.filter((room) => !isPrivate(room)).sort(byName).map(button));
  $("#conversations").replaceChildren(...conversations.map(button));
  $("#private-title").hidden = conversations.length === 0;
  showUnread(all, current);
}

function showUnread(all, current) {
  const sum = (rooms) => rooms.reduce((total, room) => total + room.unread, 0);
  const total = sum(all);
  const elsewhere = sum(all.filter((room) => room.name !== current));
  document.title = total ? `(${total}) The chat` : "The chat";
  show($("#elsewhere"), elsewhere ? String(Math.min(elsewhere, 99)) : null);
}

/** Show the head of the open room, and who is in it. */
export function showHead(room, online, myself, person) {
  const partner = partnerOf(room.name);
  const here = [...room.people].sort((one, other) => one.localeCompare(other));
  $("#people").hidden = $("#open-people").hidden = partner !== null;
  $("#chat").classList.toggle("private", partner !== null);
  setText($("#room-title"), partner ?? `# ${room.name}`);
  const isThere = online.has(partner) ? "online" : "not here now; reads it later";
  const count = here.length === 1 ? "1 person here" : `${here.length} people here`;
  setText($("#room-about"), partner === null ? count : isThere);
  setText($("#leave-room"), partner === null ? "Leave" : "Close");
  setText($("#people-title"), `Here: ${here.length}`);
  $("#names").replaceChildren(...here.map((name) => {
    const made = element("button", { type: "button" }, face(name));
    made.append(element("span", { className: "label", textContent: name }));
    if (name === myself) made.append(element("span", { className: "quiet", textContent: "you" }));
    made.addEventListener("click", () => person(name));
    return element("li", {}, made);
  }));
}
