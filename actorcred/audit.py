r"""The audit log: one record of the logger `actorcred.audit` per event, whose text is logfmt.

A record's text is the event's name, then `field=value` for each field. A value that is empty, or has a blank, a quote, `=`,
a backslash, or anything but printable ASCII, is a string as JSON has it: `claimed="eve\nlogin avatar_id=admin"`. So no name
that a client chooses can look like another field, or begin a line. Values are cut after 200 characters.

A record has these attributes, for formatters that write fields:

* `event`: the event's name;
* `event_fields`: all its fields, name -> value; numbers, truth values and None as they are, all else as strings;
* each field by its own name as well, unless a record has such an attribute anyway (`name`, `msg`, `args`, `module`, ...), with "?"
  for what is not printable.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any

from actorcred.throttle import account_of

__all__ = [
    "LONGEST_VALUE",
    "ClaimedNames",
    "UnknownNames",
    "plain",
    "printable",
    "quoted",
    "text_of",
    "write",
]

audit = logging.getLogger("actorcred.audit")

LONGEST_VALUE = 200
"""Characters of a value in the log."""

_BARE = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII without blank, quote, = and backslash
_SET_LATER = frozenset(("message", "asctime", "taskName"))
"""Attributes of a log record that formatters or newer versions of Python set."""


def printable(text: object, *, longest: int | None = LONGEST_VALUE) -> str:
    """Return a text without control characters, so that a user's name cannot forge lines of a log.

    Args:
        text: the text, or what has one.
        longest: characters that it is cut after; None for no end.
    """
    cut = str(text)[:longest]
    return (
        cut
        if cut.isprintable()
        else "".join(character if character.isprintable() else "?" for character in cut)
    )


def plain(value: object) -> Any:
    """Return a value as a number, a truth value, None, or a string that is not too long. Never raises."""
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value
    try:
        if type(value) is int and abs(value) < 1 << 64:
            return value
        text = str(value)[: LONGEST_VALUE + 1]
        if not text.isascii():
            # Halves of characters, which no encoding takes: two of them are put together, one is replaced.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except Exception as error:
        return f"<{kind.__name__} without a text: {type(error).__name__}>"
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def quoted(value: object) -> str:
    """Return a value as logfmt has it: as it is, or as a string of JSON if it is empty or has other than plain signs in it."""
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
    """Return fields as logfmt."""
    return " ".join(f"{name}={quoted(value)}" for name, value in values.items())


def write(event: Any) -> None:
    """Log an event, an instance of a dataclass with `name` and `level`, if its level is logged."""
    level = event.level
    if not audit.isEnabledFor(level):
        return
    values = {field.name: plain(getattr(event, field.name, None)) for field in fields(event)}
    name = printable(event.name)
    text = " ".join([f"{field}={_quoted(value)}" for field, value in values.items()])
    record: Any = audit.makeRecord(
        audit.name, level, __file__, 0, "%s %s", (name, text), None, "write"
    )
    record.event = name
    record.event_fields = values
    for field, value in values.items():
        # Neither what the record has already may be replaced, nor its methods.
        if not hasattr(record, field) and field not in _SET_LATER and not field.startswith("_"):
            setattr(record, field, printable(value) if isinstance(value, str) else value)
    audit.handle(record)


class UnknownNames(StrEnum):
    """What stands in events and in the log for a name that a client claimed in vain, if no checker knows it.

    It may be a password that was typed into the wrong field. Names of accounts that a checker of this package knows are always
    shown.
    """

    SHOW = "show"
    """The name."""

    HASH = "hash"
    """A keyed hash, the same for the same name, so that repeated tries can be seen to belong together."""

    OMIT = "omit"
    """Nothing."""


class ClaimedNames:
    """How names are shown that clients claimed in vain.

    Args:
        unknown: what stands for those that no checker knows.
        key: of the hash, at most 64 bytes; by default a random one.
        remember: names of accounts that are remembered at most, for events of parts that cannot ask a checker.
    """

    def __init__(
        self, unknown: UnknownNames, key: bytes | None = None, remember: int = 1000
    ) -> None:
        self._unknown = unknown
        self._key = key or os.urandom(32)
        self._remember = remember
        self._known: OrderedDict[str, None] = OrderedDict()

    def shown(self, claimed: str, *, known: bool) -> str:
        """Return what stands for a name.

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
