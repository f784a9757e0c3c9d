r"""The audit log: one record of the logger `actorcred.audit` per event, formatted as logfmt.

A record's text is the event's name, followed by `field=value` for each field. A value that is empty
or contains a blank, a quote, `=`, a backslash, or anything but printable ASCII is written as a JSON
string: `claimed="eve\nlogin avatar_id=admin"`. So a name chosen by a client can neither look like
another field nor begin a line. Values are cut after 200 characters.

A record has these attributes, for formatters that write fields:

* `event`: the event's name;
* `event_fields`: all its fields, name -> value; numbers, booleans and None are unchanged, all other
  values are strings;
* each field under its own name, too, unless all records have an attribute of that name (`name`,
  `msg`, `args`, `module`, ...), with "?" for unprintable characters.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections import OrderedDict
from collections.abc import Container, Iterator, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any

from actorcred.identity import ClientInfo, Identity
from actorcred.names import without_surrogates
from actorcred.throttle import account_of

__all__ = [
    "LONGEST_VALUE",
    "PERSONAL",
    "ClaimedNames",
    "UnknownNames",
    "plain",
    "printable",
    "quoted",
    "text_of",
    "write",
]

audit = logging.getLogger("actorcred.audit")

PERSONAL = ("address", "avatar_id", "claimed", "client", "detail", "session_id")
"""Fields of records that have, or lead to, personal data."""

LONGEST_VALUE = 200
"""Maximum length of a value in the log, in characters."""

_BARE = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII without blank, quote, = and backslash
_SET_LATER = frozenset(("message", "asctime", "taskName"))
"""Attributes of a log record that formatters or newer versions of Python set."""


def printable(text: object, *, longest: int | None = LONGEST_VALUE) -> str:
    """Return printable text, with "?" for other characters, so that a name cannot forge log lines.

    Args:
        text: a string, or an object to convert to a string.
        longest: maximum length in characters; None for no limit.
    """
    cut = str(text)[:longest]
    return (
        cut
        if cut.isprintable()
        else "".join(character if character.isprintable() else "?" for character in cut)
    )


def plain(value: object) -> Any:
    """Return a value as a number, a boolean, None, or a string of limited length. Never raises."""
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value
    try:
        if type(value) is int and abs(value) < 1 << 64:
            return value
        text = without_surrogates(str(value)[: LONGEST_VALUE + 1])
    except Exception as error:
        return f"<unprintable {kind.__name__}: {type(error).__name__}>"
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def quoted(value: object) -> str:
    """Return a value in logfmt: unchanged, or as a JSON string if it is empty or not plain."""
    return _quoted(plain(value))


def _quoted(value: Any) -> str:
    if not isinstance(value, str):
        return str(value)
    if _BARE.fullmatch(value):
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    return (
        character
        if character.isprintable() and character not in '"\\'
        else json.dumps(character)[1:-1]
    )


def text_of(values: Mapping[str, object]) -> str:
    """Return fields in logfmt."""
    return " ".join(f"{name}={quoted(value)}" for name, value in values.items())


def _values_of(event: Any) -> Iterator[tuple[str, object]]:
    """Iterate over the fields of an event; a client and an identity have several."""
    for field in fields(event):
        value = getattr(event, field.name, None)
        if type(value) is ClientInfo:
            yield from (
                ("address", value.address),
                ("protocol", value.protocol),
                ("transport", value.transport),
                ("encrypted", value.encrypted),
                ("client", value.name),
            )
        elif type(value) is Identity:
            yield from (("issuer", value.issuer), ("methods", " ".join(sorted(value.methods))))
        elif callable(several := getattr(type(value), "audit_fields", None)):
            yield from several(value)
        elif field.name not in _OF_RECORD and (field.name, value) not in _NOTHING:
            yield field.name, value


_OF_RECORD = frozenset(("time",))
"""Fields of events that are attributes of each log record."""

_NOTHING = (("identity", None), ("node", ""))
"""Fields that are left out if there is nothing to say."""


def write(event: Any, omit: Container[str] = frozenset()) -> None:
    """Log an event, if its level is logged.

    Args:
        event: an instance of a dataclass with `name` and `level`.
        omit: fields that are left out.
    """
    level = event.level
    if not audit.isEnabledFor(level):
        return
    values = {name: plain(value) for name, value in _values_of(event) if name not in omit}
    name = printable(event.name)
    text = " ".join([f"{field}={_quoted(value)}" for field, value in values.items()])
    record: Any = audit.makeRecord(
        audit.name, level, __file__, 0, "%s %s", (name, text), None, "write"
    )
    happened = getattr(event, "time", None)
    if type(happened) is float:
        record.created, record.msecs = happened, int(happened % 1 * 1000) + 0.0
    record.event = name
    record.event_fields = values
    for field, value in values.items():
        # Existing attributes and methods of the record must not be replaced.
        if not hasattr(record, field) and field not in _SET_LATER and not field.startswith("_"):
            setattr(record, field, printable(value) if isinstance(value, str) else value)
    audit.handle(record)


class UnknownNames(StrEnum):
    """What events and the log show for the name in a failed login, if no checker knows it.

    Such a name might be a password that was typed into the wrong field. Names of accounts that a
    checker of this package knows are always shown.
    """

    SHOW = "show"
    """The name."""

    HASH = "hash"
    """A keyed hash, the same for the same name, so that repeated attempts can be correlated."""

    OMIT = "omit"
    """Nothing."""


class ClaimedNames:
    """Decides how the names in failed logins are shown.

    Args:
        unknown: what is shown for names that no checker knows.
        key: the key of the hash, at most 64 bytes; random by default.
        remember: maximum number of account names that are remembered, for events of parts that
            cannot ask a checker.
    """

    def __init__(
        self, unknown: UnknownNames, key: bytes | None = None, remember: int = 1000
    ) -> None:
        self._unknown = unknown
        self._key = key or os.urandom(32)
        self._remember = remember
        self._known: OrderedDict[str, None] = OrderedDict()

    def shown(self, claimed: str, *, known: bool) -> str:
        """Return what is shown for a name.

        Args:
            claimed: the name.
            known: whether a checker knows it.
        """
        if not claimed or self._unknown is UnknownNames.SHOW:
            return claimed
        account = account_of(claimed)
        if known:
            self._known[account] = None
            self._known.move_to_end(account)
            if len(self._known) > self._remember:
                self._known.popitem(last=False)
        if account in self._known:
            return claimed
        if self._unknown is UnknownNames.OMIT:
            return ""
        return (
            "hash:"
            + hashlib.blake2b(
                account.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8
            ).hexdigest()
        )
