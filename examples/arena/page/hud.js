// What the player reads while playing: bag, points, clock, teams, board, hints, the end of a round.

import { $, element, setText, show } from "./common/dom.js";
import { TEAMS } from "./palette.js";

const SHORT_LIST = 5;
const FIRST_STEPS = "Walk onto the gold to pick it up.";
const KEY = matchMedia("(pointer: coarse)").matches ? "" : " (Space)";
const HINTS_EVERY = 500; // milliseconds

export class Hud {
  constructor() {
    this.rank = null;
    this.team = null;
    this.hintUntil = this.hintsAt = 0;
    this.hinted = new Set();
    this.makeTeams();
  }

  makeTeams() {
    $("#teams").replaceChildren(...TEAMS.map((team) => {
      const item = element("li", { title: team.name });
      item.style.background = team.main;
      return item;
    }));
  }

  /** Begin for a player of a world. */
  enter(world) {
    this.rank = this.team = this.load = null;
    this.hinted.clear();
    $("#name").textContent = world.land.name;
    $("#bag").replaceChildren(
      ...Array.from({ length: world.land.capacity }, () => element("i")));
    this.setPoints(0, 0, 0);
    this.showBoard(world.land.board);
  }

  /** Show what changes all the time. */
  update(world, now) {
    this.showClock(world);
    if (world.land.name === null || world.me === null) return;
    const { me } = world;
    this.wear(me.team);
    this.fillBag(me.load);
    if (now > this.hintsAt) {
      this.hintsAt = now + HINTS_EVERY;
      this.giveHints(world, now);
    }
    $("#hint").classList.toggle("shown", now < this.hintUntil);
  }

  fillBag(load) {
    if (load === this.load) return;
    this.load = load;
    [...$("#bag").children].forEach((pip, index) => pip.classList.toggle("full", index < load));
    $("#bag").ariaLabel = `Gold in your bag: ${load}`;
  }

  wear(team) {
    if (team === this.team) return;
    this.team = team;
    document.body.style.setProperty("--team", TEAMS[team].main);
    [...$("#teams").children].forEach((item, index) =>
      item.classList.toggle("mine", index === team));
  }

  showClock(world) {
    const { phase, ends, storm } = world.round;
    const left = Math.max(0, Math.ceil(world.seconds(ends)));
    const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    setText($("#time"), phase === "rest" ? `Next round in ${left}` : time);
    $("#time").classList.toggle("last", phase === "play" && left <= 20);
    const depth = world.me ? world.stormDepth(world.me.x, world.me.y) : -1;
    const until = world.seconds(storm.begins);
    let text = null;
    if (phase === "play" && depth > 0) text = "You are in the storm!";
    else if (phase === "play" && depth > -8 && until < 0) text = "The storm is close";
    else if (phase === "play" && until > 0 && until < 15) {
      text = `The storm begins in ${Math.ceil(until)}`;
    }
    show($("#weather"), text);
    $("#weather").classList.toggle("danger", depth > 0);
  }

  giveHints(world, now) {
    const { me } = world;
    if (world.round.phase !== "play") return;
    if (!this.hinted.size) this.hint("first", FIRST_STEPS, now);
    if (me.load >= 1) this.hint("home", "Carry it to your camp: follow the arrow.", now);
    if (me.load >= world.land.capacity) this.hint("full", "Your bag is full.", now);
    if (this.hinted.has("home") && rivalNear(world)) {
      this.hint("dash", `Dash into rivals${KEY}: they drop their gold.`, now);
    }
    if (world.stormDepth(me.x, me.y) > 0) {
      this.hint("storm", "The storm takes your gold. Run to the middle!", now);
    }
  }

  /** Show a hint for some seconds, each once in a visit. */
  hint(key, text, now) {
    if (this.hinted.has(key)) return;
    this.hinted.add(key);
    this.say(text, now);
  }

  say(text, now, seconds = 5) {
    setText($("#hint"), text);
    this.hintUntil = now + seconds * 1000;
  }

  setPoints(rank, points, total) {
    this.rank = { rank, points, total };
    setText($("#score"), points.toLocaleString("en"));
    setText($("#rank"), rank ? `rank ${rank.toLocaleString("en")}` : "");
    setText($("#career"), `Brought home in all rounds: ${total.toLocaleString("en")} gold.`);
  }

  showBoard(board, name = $("#name").textContent) {
    board.teams.forEach((gold, team) =>
      setText($("#teams").children[team], gold.toLocaleString("en")));
    const lines = board.best.map(([who, team, points], index) => ({
      rank: index + 1, who, team, points, me: who === name,
    }));
    const own = this.rank;
    const ownLine = own?.rank > 0 && {
      rank: own.rank, who: name, team: this.team, points: own.points, me: true,
    };
    const withOwn = (count) => {
      const shown = lines.slice(0, count);
      if (ownLine && !shown.some((line) => line.me)) shown.push(ownLine);
      return shown;
    };
    $("#list").replaceChildren(...withOwn(SHORT_LIST).map(listItem));
    $("#ranks").replaceChildren(...withOwn(lines.length).map(tableRow));
  }

  /** Show who has won; the team and the name are one's own. */
  showResult(world) {
    const { phase, result } = world.round;
    const box = $("#result");
    box.hidden = phase !== "rest" || result === null;
    if (box.hidden) return;
    const names = result.winners.map((team) => TEAMS[team].name);
    const won = result.winners.includes(world.me?.team) && world.land.name !== null;
    const verb = names.length > 1 ? "win" : "wins";
    const title = names.length ? `${names.join(" and ")} ${verb}!` : "No winner";
    const heading = element("h2", {}, title);
    if (names.length) heading.style.color = TEAMS[result.winners[0]].light;
    box.replaceChildren(
      heading,
      element("p", {}, won ? "That is your team. Well carried!" : "The next round begins soon."),
      element("ol", {}, ...result.best.slice(0, 3).map(([who, team, points], index) => {
        const name = element("b", {}, who);
        name.style.color = TEAMS[team].light;
        return element("li", {}, `${index + 1}. `, name, ` ${points}`);
      })),
    );
  }
}

function rivalNear({ me, bodies }) {
  return [...bodies.values()].some((body) =>
    body.team !== me.team && body.load > 0 && Math.hypot(body.x - me.x, body.y - me.y) < 5);
}

function dot(team) {
  const made = element("span", { className: "dot" });
  if (team === null) made.style.display = "none";
  else made.style.background = TEAMS[team].main;
  return made;
}

function listItem({ rank, who, team, points, me }) {
  const item = element("li", { className: me ? "me" : "" },
    element("span", {}, dot(team), who), element("span", {}, points.toLocaleString("en")));
  item.dataset.rank = rank.toLocaleString("en");
  return item;
}

function tableRow({ rank, who, team, points, me }) {
  return element("tr", { className: me ? "me" : "" },
    element("td", {}, rank.toLocaleString("en")),
    element("td", {}, dot(team), who), element("td", {}, points.toLocaleString("en")));
}
