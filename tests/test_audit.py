"""The audit log: no client can forge a field, and no value in an event breaks it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred import audit
from actorcred.audit import ClaimedNames, UnknownNames, quoted, text_of
from actorcred.errors import RefusalCause
from actorcred.identity import Identity
from actorcred.portal import events
from actorcred.portal.events import Event
from actorcred.portal.steps import StepTimes
from actorcred.rpc.server import events as rpc_events
from tests.helpers import records_of
from tests.logfmt import parse

NASTY = [
    "",
    "eve avatar_id=admin",
    'eve" avatar_id="admin',
    "eve\\",
    'eve\\" avatar_id=admin',
    "eve\nlogin session_id=1 avatar_id=admin",
    "eve\r\x1b[2Jlogin",
    "=",
    "\u202eeve\u2066",
    "e\u2028v\x85e",
    "eve\u00a0admin",
    "\U000e0001tag",
    "[red]eve[/red]",
    "%s %(name)s {}",
    "жаба",
]


@pytest.mark.parametrize("name", NASTY)
def test_a_value_is_one_value_whatever_is_in_it(name: str) -> None:
    line = text_of({"code": "refused", "claimed": name, "detail": "no"})
    assert line.isprintable()
    assert parse(line) == {"code": "refused", "claimed": name, "detail": "no"}


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.text(max_size=200), max_size=5
    )
)
def test_what_is_written_is_what_is_read(values: dict[str, str]) -> None:
    line = text_of(values)
    assert line.isprintable()
    assert parse(line) == values


@given(st.text(st.characters(categories=["Cs", "L"]), max_size=9))
def test_halves_of_characters_can_be_written_to_any_file(text: str) -> None:
    quoted(text).encode()


def test_what_is_plain_stays_as_it_is_and_numbers_are_numbers() -> None:
    assert text_of(
        {
            "avatar_id": "ann@example.org",
            "count": 3,
            "duration": 12.5,
            "complete": True,
            "none": None,
        }
    ) == ("avatar_id=ann@example.org count=3 duration=12.5 complete=True none=None")


def test_a_long_value_is_cut_and_says_so() -> None:
    assert quoted("a" * 200) == "a" * 200
    assert quoted("a" * 1_000_000) == '"' + "a" * 200 + '…"'
    assert len(quoted(10**1000)) < 210


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("boom")


@dataclass(frozen=True)
class Odd(Event):
    """Fields with names of log record attributes, and a value that cannot be shown."""

    name: ClassVar[str] = "odd"

    module: str = "the module"
    msg: str = "the msg"
    args: str = "the args"
    levelname: str = "the level"
    message: str = "the message"
    asctime: str = "the time"
    taskName: str = "the task"  # noqa: N815
    getMessage: str = "the method"  # noqa: N815
    exc_info: str = "the error"
    event: str = "the event"
    event_fields: str = "the fields"
    thing: Any = field(default_factory=Unprintable)
    safe: str = "a b"


def test_fields_named_like_attributes_of_a_record_are_told_and_replace_none_of_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "actorcred.audit")
    audit.write(Odd())
    record: Any = records_of(caplog, "actorcred.audit")[-1]

    line = record.getMessage()
    told = parse(line)
    assert told.pop("odd") is True
    assert told == {name: str(value) for name, value in record.event_fields.items()}
    assert told["module"] == "the module"
    assert told["getMessage"] == "the method"
    assert told["thing"] == "<unprintable Unprintable: RuntimeError>"
    assert (record.event, record.levelname, record.name, record.safe) == (
        "odd",
        "INFO",
        "actorcred.audit",
        "a b",
    )
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s").format(record)
    assert text.endswith(line)


def test_an_unknown_name_is_shown_hashed_or_left_out() -> None:
    for unknown, key in (("show", None), ("hash", b"k"), ("omit", None)):
        names = ClaimedNames(UnknownNames(unknown), key)
        expected = {
            "show": "s3cret",
            "hash": "hash:" + names.shown("s3cret", known=False)[5:],
            "omit": "",
        }[unknown]
        assert names.shown("s3cret", known=False) == expected
        assert names.shown("ann", known=True) == "ann"
        assert names.shown("", known=False) == ""


def test_hashes_of_names_belong_together_only_under_the_same_key() -> None:
    first, same, other = (ClaimedNames(UnknownNames.HASH, key) for key in (b"k", b"k", None))
    assert first.shown("S3cret", known=False) == same.shown("s3cret", known=False)
    assert first.shown("s3cret", known=False) != other.shown("s3cret", known=False)
    assert first.shown("s3cret", known=False) != first.shown("s3cret2", known=False)


def test_a_name_that_a_checker_knew_is_shown_where_no_checker_is_asked_and_not_all_are_kept() -> (
    None
):
    names = ClaimedNames(UnknownNames.OMIT, remember=10)
    for number in range(100):
        names.shown(f"user{number}", known=True)
    assert names.shown("user99", known=False) == "user99"
    assert names.shown("user1", known=False) == ""


def test_the_reference_lists_each_event_with_its_level_and_fields() -> None:
    text = Path(__file__).parents[1].joinpath("docs", "reference", "events.md").read_text()
    text = text.partition("## Events of a cluster")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    # Those of a cluster are compared in tests/cluster/test_events.py.
    listed = {row[1]: row[:4] for row in rows if len(row) == 5}
    kinds = [
        kind
        for module in (events, rpc_events)
        for kind in vars(module).values()
        if isinstance(kind, type)
    ]
    expected = {
        f"`{kind.__name__}`": [
            f"`{kind.name}`",
            f"`{kind.__name__}`",
            logging.getLevelName(kind.level).lower(),
            " ".join(f"`{one.name}`" for one in fields(kind) if one.name not in {"time", "node"}),
        ]
        for kind in kinds
        if issubclass(kind, Event) and kind is not Event
    }
    assert listed == expected


def test_the_reference_lists_each_cause_of_a_refusal() -> None:
    text = Path(__file__).parents[1].joinpath("docs", "reference", "events.md").read_text()
    part = text.partition("## Causes of refusals")[2].partition("\n## ")[0]
    listed = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
    assert listed == list(RefusalCause)


def test_the_reference_says_what_the_log_has_of_a_client_an_identity_and_the_steps() -> None:
    text = Path(__file__).parents[1].joinpath("docs", "reference", "events.md").read_text()
    part = text.partition("several fields of the log record:")[2].partition("\n## ")[0]
    event = events.LoggedIn("s", "ann", "ann", "Player", "X", "X", "PLAIN")
    event = replace(event, identity=Identity("ann"), steps=StepTimes(1.0, 1.0, 1.0, 1.0))
    own = {one.name for one in fields(event)}
    in_the_log = [
        name for name, _ in audit._values_of(event) if name not in own or name == "client"
    ]
    assert len(in_the_log) == 5 - 1 + 2 + 4 + 1
    assert all(f"`{name}`" in part for name in in_the_log)
    assert all(f"`{name}`" in text.partition("## Personal data")[2] for name in audit.PERSONAL)
