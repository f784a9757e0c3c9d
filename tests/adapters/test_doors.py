"""One attack through all doors: they look at as few wrong passwords as each other, and say so.

docs/reference/doors.md shows what comes of it. `make doors` writes that page anew; here each of its
rows is compared with what happens.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from actorcred.portal.protection import SOURCE_ABREAST
from tests.adapters.doors import asyncio_doors, twisted_doors
from tests.adapters.doors.asyncio_doors import (
    SmtpDoor,
    SSHClientDoor,
    VerifyDoor,
    WireAgainDoor,
    WireDoor,
    WireResumeDoor,
    WireScramDoor,
    scram,
)
from tests.adapters.doors.attack import (
    ATTACKER,
    LONG,
    OWNER,
    SHUT_OUT,
    TRIES,
    Besieged,
    Knocking,
    Outcome,
    attack,
)
from tests.adapters.doors.door import Door

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/reference/doors.md"
WRITING = "ACTORCRED_WRITE_DOORS"
DOORS = {
    f"{kind.door} {kind.mechanism}": kind for kind in (*asyncio_doors.DOORS, *twisted_doors.DOORS)
}
STRANGER = "127.0.0.4"
WITHOUT_OWNER = (WireResumeDoor, WireAgainDoor)
"""Here the owner has another proof than the password, or is another one."""

UNGUESSABLE = ("Bearer", "key, forged signature")

ONE = ["ann"] * TRIES
MANY = ["ann", "bob", *(f"user{number}" for number in range(TRIES - 2))]

rows: list[str] = []
"""What this run has found, for the page."""

HEADER = """# Doors

What each protocol does about sixty wrong passwords from one address. `make doors` writes this page
by real attacks, with the default [`Penalty`](portal.md), but for penalties of ten minutes, so that
none ends meanwhile. The tests compare each row with what happens.

* **looked at**: how many of the sixty were examined: for one account, and for sixty accounts. All
  others are answered without a look at the account, so the answer is the same whether it exists.
* **refused unseen**: the answer to those, as many as `free_denials` and one more. "N" is the number
  of seconds to wait.
* **no connection**: attempts for which no connection was to be had any more.
* **at the end**: what the client is told when its connection is closed; SSH says it in the answer.

"""
COLUMNS = ("looked at", "wrong", "refused unseen", "no connection", "at the end")


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    made: Door = DOORS[request.param]()
    yield made
    made.stop()


def besieged(door: Door) -> Besieged:
    house = Besieged()
    door.start(house.portal)
    return house


def guess(door: Door, source: str, name: str, password: str) -> str:
    knocking = Knocking(door, source, [])
    answer = knocking.guess(name, password)
    knocking.hang_up()
    return answer


def test_sixty_wrong_passwords_end_as_the_reference_says(door: Door) -> None:
    house = besieged(door)
    has_owner = not isinstance(door, WITHOUT_OWNER)
    if has_owner:
        assert "IN" in guess(door, OWNER, "ann", "s3cret")
    one = attack(house, door, ONE)
    # Hashing is shared out by source, so each door must say where its credentials come from.
    if not isinstance(door, WireResumeDoor):
        assert ATTACKER in house.sources
        assert "" not in house.sources
    if has_owner:
        # The owner comes from where the account has logged in before. Nobody else does, unless
        # the proof cannot be guessed.
        assert "IN" in guess(door, OWNER, "ann", "s3cret")
        assert ("IN" in guess(door, STRANGER, "ann", "s3cret")) == (door.mechanism in UNGUESSABLE)
        assert "IN" not in guess(door, ATTACKER, "ann", "s3cret")
    door.stop()
    many = attack(besieged(door), door, MANY)

    assert one.looked_at == many.looked_at == LONG.free_failures + 1
    assert one.answers == many.answers  # whether the account exists or not
    assert (one.others, one.ends) == (many.others, many.ends)
    line = row(door, one, many)
    rows.append(line)
    if WRITING not in os.environ:
        assert line in PAGE.read_text().splitlines(), "make doors"


def row(door: Door, one: Outcome, many: Outcome) -> str:
    ends = list(dict.fromkeys(end or "closed" for end in one.ends)) or ["-"]
    cells = (
        door.door,
        door.mechanism,
        f"{one.looked_at}, {many.looked_at}",
        one.wrong,
        "; ".join(one.others),
        str(one.shut_out) if one.shut_out else "-",
        "; ".join(ends),
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def test_the_reference_has_all_doors_and_no_other() -> None:
    if WRITING in os.environ and len(rows) == len(DOORS):
        head = [
            f"| door | mechanism | {' | '.join(COLUMNS)} |",
            "| --- " * (len(COLUMNS) + 2) + "|",
        ]
        PAGE.write_text(HEADER + "\n".join([*head, *rows, ""]))
    lines = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert [f"{line[0].removeprefix('| ')} {line[1]}" for line in lines[2:]] == list(DOORS)


@pytest.mark.parametrize("name", ["ann", "nobody"])
@pytest.mark.parametrize(
    "kind",
    [VerifyDoor, asyncio_doors.SmtpScramDoor, twisted_doors.PopDoor],
    ids=lambda kind: kind.door,
)
def test_many_addresses_that_guess_one_account_learn_nothing_of_it(
    kind: type[Door], name: str
) -> None:
    door = kind()
    house = besieged(door)
    answers = [guess(door, f"127.0.1.{number}", name, "wrong") for number in range(1, 21)]
    door.stop()
    wrong, denied = answers[0], answers[-1]
    assert answers == [wrong] * (LONG.free_failures + 1) + [denied] * (19 - LONG.free_failures)
    assert "N s" in denied
    assert house.looked_at() == LONG.free_failures + 1
    assert not isinstance(door, SSHClientDoor)


def test_other_doors_are_closed_to_who_has_attacked_one() -> None:
    doors: list[Door] = [kind() for kind in DOORS.values() if kind is not VerifyDoor]
    house = Besieged()
    for one in doors:
        one.start(house.portal)
    try:
        attack(house, doors[0], MANY)
        for one in doors:
            answer = guess(one, ATTACKER, "ann", "s3cret")
            assert "IN" not in answer
            assert answer == SHUT_OUT or "N s" in answer or "429" in answer
            if not isinstance(one, WITHOUT_OWNER):
                assert "IN" in guess(one, OWNER, "ann", "s3cret")
        assert house.looked_at() == LONG.free_failures + 1
    finally:
        for one in doors:
            one.stop()


CROWD = 190


@pytest.mark.parametrize("kind", [WireDoor, SmtpDoor], ids=lambda kind: kind.door)
@pytest.mark.parametrize("names", ["one account", "an account each"])
def test_a_crowd_of_connections_gets_no_more_guesses_than_its_turns(
    kind: type[WireDoor | SmtpDoor], names: str
) -> None:
    """All send their guess before the first one is answered."""
    house, doors = Besieged(rounds=4), [kind() for _ in range(CROWD)]
    doors[0].start(house.portal)
    try:
        for one in doors:
            one.port = doors[0].port
            one.connect(ATTACKER)
        for number, one in enumerate(doors):
            one.begin("ann" if names == "one account" else f"user{number}", "wrong")
        answers = [one.outcome() for one in doors]
    finally:
        for one in doors:
            one.hang_up()
        doors[0].stop()

    # Those that may fail, one more, and those whose turn it was when that one failed.
    abreast = LONG.free_failures if names == "one account" else SOURCE_ABREAST
    looked_at = house.looked_at()
    assert LONG.free_failures < looked_at <= LONG.free_failures + abreast
    assert sum("try again" in answer for answer in answers) == CROWD - looked_at


def test_who_hangs_in_scram_holds_nobody_up() -> None:
    """A hundred connections wait with the challenge of ann's account, and never answer."""
    house, hanging = Besieged(), [WireScramDoor() for _ in range(100)]
    hanging[0].start(house.portal)
    try:
        for one in hanging:
            one.port = hanging[0].port
            one.connect(ATTACKER)
            first = scram("ann", "wrong").start()
            assert "challenge" in one.call("cred.login", "SCRAM-SHA-256", first)
        owner = WireScramDoor()
        owner.port = hanging[0].port
        assert "IN" in guess(owner, OWNER, "ann", "s3cret")
        assert "IN" in guess(owner, ATTACKER, "bob", "hush")
    finally:
        for one in hanging:
            one.hang_up()
        hanging[0].stop()
