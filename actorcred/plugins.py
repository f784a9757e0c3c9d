"""Checkers by a text, as the deployer of a server gives it: `file:players.htpasswd`, `sqlite:accounts.db`, `anonymous`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actorcred.actors import ActorRef, Dispatcher
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.base import CheckerRef
from actorcred.checkers.file import FileChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.errors import AccountError

__all__ = ["checker_from_string"]


def _memory(argument: str, dispatcher: Dispatcher | None) -> ActorRef[Any]:
    words = argument.split(":")
    if len(words) % 2:
        raise AccountError("memory: needs names and passwords in turn, as memory:ann:secret:bob:hush")
    return MemoryChecker.start(dict(zip(words[::2], words[1::2], strict=True)), plaintext=True, dispatcher=dispatcher)


def _file(argument: str, dispatcher: Dispatcher | None) -> ActorRef[Any]:
    return FileChecker.start(_path(argument, "file"), dispatcher=dispatcher)


def _sqlite(argument: str, dispatcher: Dispatcher | None) -> ActorRef[Any]:
    return SQLiteChecker.start(_path(argument, "sqlite"), dispatcher=dispatcher)


def _anonymous(argument: str, dispatcher: Dispatcher | None) -> ActorRef[Any]:
    if argument:
        raise AccountError(f"anonymous takes no argument, but has {argument!r}")
    return AnonymousChecker.start(dispatcher=dispatcher)


def _path(argument: str, kind: str) -> str:
    if not argument:
        raise AccountError(f"{kind}: needs the path of a file, as {kind}:players")
    return argument


_KINDS: dict[str, Callable[[str, Dispatcher | None], ActorRef[Any]]] = {
    "memory": _memory,
    "file": _file,
    "sqlite": _sqlite,
    "anonymous": _anonymous,
}


def checker_from_string(text: str, *, dispatcher: Dispatcher | None = None) -> CheckerRef:
    """Start the checker that a text describes.

    Args:
        text: `memory:NAME:PASSWORD:...`, `file:PATH` (htpasswd), `sqlite:PATH`, or `anonymous`.
        dispatcher: where the checker runs.

    Raises:
        AccountError: if there is no such kind, its argument is wrong, or the file cannot be used.
    """
    kind, _, argument = text.partition(":")
    make = _KINDS.get(kind)
    if make is None:
        raise AccountError(f"unknown kind of authentication {kind!r}; use one of {', '.join(_KINDS)}")
    try:
        checker = make(argument, dispatcher)
    except ValueError as error:
        raise AccountError(f"{kind}: {error}") from None
    assert isinstance(checker, CheckerRef)
    return checker
