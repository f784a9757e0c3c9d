// The dialogs: all rooms, help, and what can be done about a person.

import { $, element } from "./common/dom.js";
import { COMMANDS } from "./commands.js";

for (const button of document.querySelectorAll("[data-dismiss]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => { // beside it
    if (event.target === dialog) dialog.close();
  });
}

export function showHelp(isModerator) {
  const shown = COMMANDS.filter((command) => isModerator || !command.moderator);
  $("#commands").replaceChildren(...shown.flatMap(({ typed, does }) => [
    element("dt", { textContent: typed }),
    element("dd", { textContent: does }),
  ]));
  $("#help-dialog").showModal();
}

/** Show all rooms; `enter(name)` is called with the one that is chosen. */
export function showAllRooms(listed, mine, enter) {
  const dialog = $("#rooms-dialog");
  const go = (name) => { dialog.close(); enter(name); };
  $("#all-rooms").replaceChildren(...listed.map(({ room, members }) => {
    const about = `${members} here${mine.has(room) ? " · you are in it" : ""}`;
    const button = element("button", { type: "button" });
    button.append(element("span", { className: "label", textContent: `# ${room}` }));
    button.append(element("span", { className: "quiet", textContent: about }));
    button.addEventListener("click", () => go(room));
    return element("li", {}, button);
  }));
  $("#join").onsubmit = (event) => {
    event.preventDefault();
    const name = $("#room").value.trim();
    $("#room").value = "";
    if (name) go(name);
  };
  dialog.showModal();
}

/** Show what can be done about a person; `act(what, why)` does it. */
export function showPerson({ name, state, isModerator }, picture, act) {
  const dialog = $("#person-dialog");
  $("#person-face").replaceChildren(picture);
  $("#person-name").textContent = name;
  $("#person-state").textContent = state;
  $("#moderation").hidden = !isModerator;
  $("#why").value = "";
  const done = (what) => { dialog.close(); act(what, $("#why").value.trim()); };
  $("#write").onclick = () => done("write");
  for (const button of dialog.querySelectorAll("[data-act]")) {
    button.onclick = () => done(button.dataset.act);
  }
  dialog.showModal();
}
