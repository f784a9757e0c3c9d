"""The parts of the chat's page that need no browser, by Node.js."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import examples.chat
from tests.backends.servers import program

EXAMPLES = Path(examples.chat.__file__).parents[1]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A folder with the scripts, laid out as they are served."""
    folder = tmp_path / "page"
    folder.mkdir()
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for script in (EXAMPLES / "chat" / "page").glob("*.js"):
        (folder / script.name).write_text(script.read_text())
    (folder / "common").symlink_to(EXAMPLES / "page")
    return folder


def node(page: Path, script: str) -> Any:
    """Run a script that calls `done(result)`; return the result."""
    path = page / "test.mjs"
    path.write_text("const done = (x) => console.log(JSON.stringify(x));\n" + script)
    words = [program("node", "nodejs"), "--preserve-symlinks", str(path)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


STORAGE = """
import { Outbox } from "./outbox.js";
const kept = new Map();
const storage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};
const failure = (code, more = {}) => Object.assign(new Error(code), { code, ...more });
"""


def test_the_outbox_keeps_what_the_connection_did_not_take_and_sends_it_in_order(page):
    sent = node(
        page,
        STORAGE
        + """
        let isThere = false;
        const sent = [];
        const send = async (room, text, key) => {
          if (!isThere) throw failure("lost");
          sent.push([room, text, key]);
        };
        const first = new Outbox("ann", storage, send, () => {});
        first.add("lobby", "one");
        first.add("@bob", "two");
        await first.flush();
        const keys = first.items.map((item) => item.key);
        const second = new Outbox("ann", storage, send, () => {});
        const other = new Outbox("bob", storage, send, () => {});
        isThere = true;
        await second.flush();
        done({ sent, keys, left: kept.size, others: other.items.length });
    """,
    )
    keys = sent["keys"]
    assert sent["sent"] == [["lobby", "one", keys[0]], ["@bob", "two", keys[1]]]
    assert len(set(keys)) == 2
    assert sent["left"] == sent["others"] == 0


def test_the_outbox_waits_if_it_is_too_fast_and_puts_aside_what_is_refused(page):
    result = node(
        page,
        STORAGE
        + """
        const answers = [
          failure("too-fast", { retryAfter: 0.01 }), null, failure("muted"), null, null,
        ];
        const sent = [];
        const outbox = new Outbox("ann", storage, async (room, text) => {
          const answer = answers.shift();
          if (answer) throw answer;
          sent.push(text);
        }, () => {});
        for (const text of ["one", "two", "three"]) outbox.add("lobby", text);
        while (outbox.sending) await new Promise((resolve) => setTimeout(resolve, 1));
        const aside = outbox.of("lobby").map((item) => [item.text, item.problem]);
        outbox.retry(outbox.items[0].key);
        while (outbox.sending) await new Promise((resolve) => setTimeout(resolve, 1));
        done({ sent, aside, left: outbox.items.length });
    """,
    )
    assert result == {"sent": ["one", "three", "two"], "aside": [["two", "muted"]], "left": 0}


def test_the_outbox_has_a_bound(page):
    text = node(
        page,
        STORAGE
        + """
        const outbox = new Outbox("ann", storage, async () => { throw failure("lost"); }, () => {});
        try { for (let i = 0; i < 101; i += 1) outbox.add("lobby", "x"); }
        catch (error) { done([error.message, outbox.items.length]); }
    """,
    )
    assert text == ["100 lines wait already; none is added.", 100]


def test_a_room_has_each_line_once_in_the_order_of_the_numbers(page):
    result = node(
        page,
        """
        import { KEPT, Room } from "./room.js";
        const line = (number) => ({ number, name: "bob", text: `${number}`, at: number });
        const range = (from, to) => Array.from({ length: to - from }, (_, i) => line(from + i));
        const room = new Room("lobby");
        room.add(line(5));                              // before the history has come
        room.merge(range(1, 6));
        const how = [room.add(line(9)), room.add(line(7)), room.add(line(9))];
        room.addEvent("cid came");
        room.merge([line(5), line(9), line(10)]);
        const numbers = room.entries.filter((one) => !one.event).map((one) => one.number);
        const place = room.entries.findIndex((one) => one.event);
        room.readUpTo(9, "ann");
        const unread = room.unread;
        room.merge(range(200, 250));                    // others may be missing in between
        const gap = [room.firstNumber, room.hasEarlier];
        room.mergeEarlier(range(150, 200));
        const whole = [room.firstNumber, room.last, room.entries.length];
        for (const one of range(1000, 1000 + KEPT)) room.add(one);
        done({ how, numbers, place, unread, gap, whole, kept: room.entries.length });
    """,
    )
    assert result == {
        "how": ["appended", "inserted", "known"],
        "numbers": [1, 2, 3, 4, 5, 7, 9, 10],
        "place": 7,
        "unread": 1,
        "gap": [200, True],
        "whole": [150, 249, 100],
        "kept": 500,
    }


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("hello /there", ["say", ["hello /there"]]),
        ("//etc", ["say", ["/etc"]]),
        ("/join  the garden", ["join", ["the garden"]]),
        ("/MSG bob two  words\nand a row", ["msg", ["bob", "two  words\nand a row"]]),
        ("/kick bob", ["kick", ["bob"]]),
        ("/kick bob no shouting", ["kick", ["bob", "no shouting"]]),
        ("/ban bob 5 no shouting", ["ban", ["bob", "5", "no shouting"]]),
        ("/leave", ["leave", []]),
        ("/leave now", "Type /leave"),
        ("/msg bob", "Type /msg NAME TEXT"),
        ("/mute bob long", "Type /mute NAME MINUTES"),
        ("/mute bob -1", "Type /mute NAME MINUTES"),
        ("/nope", "There is no /nope. Type /help for what there is, or //nope to say it."),
    ],
)
def test_a_command_is_read_or_says_how_it_is_typed(page, text, read):
    result = node(
        page,
        f"""
        import {{ parse }} from "./commands.js";
        try {{
          const {{ word, words }} = parse({json.dumps(text)});
          done([word, words]);
        }} catch (error) {{ done(error.message); }}
    """,
    )
    assert result == read


def test_a_day_is_told_in_words(page):
    days = node(
        page,
        """
        import { dayOf } from "./days.js";
        const now = new Date(2026, 10, 29, 0, 5);
        const at = (...parts) => new Date(...parts).getTime() / 1000;
        done([dayOf(at(2026, 10, 29, 0, 1), now), dayOf(at(2026, 10, 28, 23, 59), now),
          ...[2026, 2025].map((year) => dayOf(at(year, 9, 1), now).includes(String(year)))]);
    """,
    )
    assert days == ["Today", "Yesterday", False, True]
