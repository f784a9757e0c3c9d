"""The parts of the chat that need no network: names and texts, the archive, terminals, avatars."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorcred import (
    CallError,
    CheckerUnavailable,
    LoginDenied,
    NoInterface,
    Portal,
    PortalOptions,
    UsernamePassword,
)
from actorcred.checkers.memory import MemoryChecker
from examples.chat.archive import Archive
from examples.chat.interface import Chatter, Line, Membership
from examples.chat.realm import Chat
from examples.chat.rooms import clean_name, clean_text, partner_of, seen_as, stored_as
from examples.chat.text import show_event
from tests.settings import portal_options


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path / "chat.sqlite")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  a\x1b[31mb\r\n\tc\x07 ", "a[31mb\nc"),
        ("👩\u200d👩\u200d👧 \u202eabc", "👩\u200d👩\u200d👧 abc"),
        ("x" * 2000, "x" * 2000),
    ],
)
def test_a_text_keeps_rows_and_joined_emojis_but_no_control_characters(typed, kept):
    assert clean_text(typed) == kept


@pytest.mark.parametrize("typed", ["", " \n", "\x1b", "\u200d", "x" * 2001, "x\n" * 40 + "x"])
def test_a_text_that_is_empty_or_too_long_is_refused(typed):
    with pytest.raises(CallError) as refused:
        clean_text(typed)
    assert refused.value.code == "bad-text"


def test_a_room_has_one_name_however_it_is_typed():
    assert clean_name("  #Garden \t Party ") == "garden party"
    for typed in ("", "#", "@bob", "x" * 41):
        with pytest.raises(CallError):
            clean_name(typed)


def test_a_conversation_is_stored_once_and_each_sees_it_by_the_others_name():
    stored = stored_as("@bob", "ann")
    assert stored == stored_as("@ann", "bob")
    assert (seen_as(stored, "ann"), seen_as(stored, "bob")) == ("@bob", "@ann")
    assert stored_as("lobby", "ann") == seen_as("lobby", "ann") == "lobby"
    assert (partner_of("@bob"), partner_of("lobby")) == ("bob", None)


def test_lines_are_numbered_and_one_with_a_known_key_is_not_stored_again(archive):
    first = archive.add("lobby", "ann", "one", "k")
    again = archive.add("lobby", "ann", "one", "k")
    others = archive.add("lobby", "bob", "two", "k")
    assert again == first
    assert others.number > first.number
    assert archive.find("ann", "k") == first
    assert archive.find("ann", "") is None
    archive.add("lobby", "ann", "three")
    archive.add("lobby", "ann", "four")
    assert [line.text for line in archive.latest("lobby", 2)] == ["three", "four"]
    before = archive.latest("lobby", 9, others.number)
    assert [line.text for line in before] == ["one"]
    assert archive.newest("nowhere") == 0


def test_unread_lines_are_those_of_others_after_the_mark(archive):
    archive.enter("ann", "lobby", 0)
    archive.enter("ann", "lobby", 99)  # known
    for number in range(120):
        archive.add("lobby", "bob", f"{number}")
    assert archive.memberships("ann", 9) == [Membership("lobby", 0, 100)]
    assert archive.mark("ann", "lobby", 119)
    assert not archive.mark("ann", "lobby", 50)
    assert archive.memberships("ann", 9) == [Membership("lobby", 119, 1)]
    archive.add("lobby", "ann", "own")
    assert archive.memberships("ann", 9)[0].unread == 1
    archive.leave("ann", "lobby")
    assert archive.memberships("ann", 9) == []


def test_rooms_are_listed_by_their_last_line_and_conversations_are_not(archive):
    archive.enter("ann", "empty", 0)
    archive.add("old", "ann", "x")
    archive.add("new", "ann", "x")
    archive.add(stored_as("@bob", "ann"), "ann", "secret")
    assert [room for room, _ in archive.rooms("@%", 9)] == ["new", "old", "empty"]


def test_a_ban_ends_in_time_and_those_that_ended_are_forgotten(archive):
    archive.restrict("bans", "ann", 1.0)
    assert archive.seconds_left("bans", "ann") == 0
    archive.restrict("bans", "bob", 1e12)
    assert archive.seconds_left("bans", "bob") > 1e9
    assert archive.seconds_left("mutes", "bob") == 0
    assert archive._all("SELECT name FROM bans") == [("bob",)]


def test_an_older_archive_keeps_its_lines_and_a_newer_one_is_refused(tmp_path):
    path = tmp_path / "chat.sqlite"
    with sqlite3.connect(path) as old:
        old.executescript(
            "CREATE TABLE lines (number INTEGER PRIMARY KEY AUTOINCREMENT, room TEXT NOT NULL, "
            "at REAL NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL);"
            "CREATE TABLE bans (name TEXT PRIMARY KEY, until REAL NOT NULL, why TEXT NOT NULL);"
            "CREATE TABLE mutes (name TEXT PRIMARY KEY, until REAL NOT NULL);"
            "INSERT INTO lines VALUES (7, 'lobby', 1.0, 'ann', 'hello');"
            "INSERT INTO bans VALUES ('eve', 1e12, 'spam');"
        )
    archive = Archive(path)
    assert archive.latest("lobby", 9) == [Line(7, 1.0, "ann", "hello")]
    assert archive.seconds_left("bans", "eve") > 0
    archive._all("PRAGMA user_version=99")
    archive.close()
    with pytest.raises(OSError, match="newer version"):
        Archive(path)
    (tmp_path / "text").write_text("no database, but quite a long text" * 9)
    with pytest.raises(OSError, match="cannot be used"):
        Archive(tmp_path / "text")


def test_a_terminal_shows_what_happens_and_no_text_looks_like_anothers_line():
    line = Line(1, 0.0, "ann", "hi\n<bob> I owe you")
    assert show_event("said", "lobby", line) == "<ann> hi\n    <bob> I owe you"
    assert show_event("said", "garden", line).startswith("[garden] <ann> hi\n    ")
    assert show_event("said", "@ann", line).startswith("(ann to you) hi\n    ")
    assert show_event("said", "@bob", line).startswith("(ann to bob) hi\n    ")
    assert show_event("came", "garden", "bob") == "[garden] * bob came"
    assert show_event("went", "lobby", "bob", "enough") == "* bob went (enough)"
    assert show_event("muted", 300.0) == "* you are muted for 5 minutes"
    assert show_event("muted", 0.0) == "* you may speak"
    assert show_event("presence", "bob", True, {}, None) is None


class Heard:
    """A client that notes its notifications, which come by another thread than results."""

    def __init__(self) -> None:
        self._events: list[Any] = []
        self._more = threading.Condition()

    def __call__(self, *event: Any) -> None:
        with self._more:
            self._events.append(event)
            self._more.notify_all()

    def has(self, *event: Any) -> bool:
        """Wait for a notification that begins like this. Return whether it has come."""
        with self._more:
            return self._more.wait_for(
                lambda: any(one[: len(event)] == event for one in self._events), timeout=20
            )


@pytest.fixture
def portal(archive: Archive) -> Any:
    chat = Chat.start(archive)
    users = {"ann": "a", "bob": "b", "x" * 101: "c"}
    made = Portal.start(chat, [MemoryChecker.start(users, rounds=4)], portal_options())
    chat.proxy().open_at(made).get(timeout=5)
    return made


def log_in(portal: Any, name: str, password: str) -> tuple[Any, Heard]:
    heard = Heard()
    credentials = UsernamePassword(name, password)
    _, avatar, _ = portal.login(credentials, heard, Chatter).get(timeout=5)
    return avatar.proxy(), heard


def test_a_user_comes_back_to_the_rooms_of_the_last_time(portal):
    ann, _ = log_in(portal, "ann", "a")
    assert ann.join("Garden").get(timeout=5) == "garden"
    ann.leave("lobby").get(timeout=5)
    portal.kick(avatar_id="ann").get(timeout=5)
    bob, heard = log_in(portal, "bob", "b")
    bob.join("garden").get(timeout=5)
    bob.say("garden", "anyone?").get(timeout=5)
    ann, _ = log_in(portal, "ann", "a")
    welcome = ann.welcome().get(timeout=5)
    assert (welcome.name, welcome.moderator) == ("ann", False)
    assert welcome.rooms == [Membership("garden", 0, 1)]
    assert heard.has("came", "garden", "ann")
    assert ann.who("garden").get(timeout=5) == ["ann", "bob"]


def test_a_private_line_waits_for_a_user_who_is_away(portal):
    bob, _ = log_in(portal, "bob", "b")
    portal.kick(avatar_id="bob").get(timeout=5)
    ann, _ = log_in(portal, "ann", "a")
    number = ann.say("@bob", "see you", "key").get(timeout=5)
    assert ann.say("@bob", "see you", "key").get(timeout=5) == number
    bob, heard = log_in(portal, "bob", "b")
    rooms = bob.welcome().get(timeout=5).rooms
    assert Membership("@ann", number - 1, 1) in rooms
    assert [line.text for line in bob.lines("@ann").get(timeout=5)] == ["see you"]
    bob.read("@ann", 10**6).get(timeout=5)
    assert heard.has("read", "@ann", number)
    bob.leave("@ann").get(timeout=5)
    assert [one.room for one in bob.welcome().get(timeout=5).rooms] == ["lobby"]
    ann.say("@bob", "still there?").get(timeout=5)
    assert heard.has("said", "@ann")


def test_a_user_can_be_in_fifty_rooms(portal):
    ann, _ = log_in(portal, "ann", "a")
    for number in range(49):
        ann.join(f"room {number}").get(timeout=5)
    ann.join("room 3").get(timeout=5)
    with pytest.raises(CallError, match="leave one first"):
        ann.join("one more").get(timeout=5)
    assert len(ann.rooms().get(timeout=5)) == 30


def test_the_realm_refuses_the_banned_overlong_names_and_other_interfaces(portal, archive):
    archive.restrict("bans", "bob", 1e12)
    with pytest.raises(LoginDenied):
        log_in(portal, "bob", "b")
    with pytest.raises(LoginDenied):
        log_in(portal, "x" * 101, "c")
    with pytest.raises(NoInterface):
        portal.login(UsernamePassword("ann", "a"), Heard(), int).get(timeout=5)


def test_without_a_portal_the_chat_is_not_open(archive):
    checker = MemoryChecker.start({"ann": "a"}, rounds=4)
    closed = Portal.start(Chat.start(archive), [checker], PortalOptions())
    with pytest.raises(CheckerUnavailable):
        closed.login(UsernamePassword("ann", "a"), Heard(), Chatter).get(timeout=5)
