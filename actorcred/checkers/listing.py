"""Lists of those who may come in, or may not."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from actorcred.actors import ControlCall, Dispatcher
from actorcred.checkers.base import CheckerRef, Revocation
from actorcred.checkers.plugin import CheckerPlugin, read_options
from actorcred.checkers.wrapper import Filter
from actorcred.credentials import AvatarId, make_avatar_id
from actorcred.descriptors import ArgString
from actorcred.errors import AccountError, CheckerUnavailable, UnauthorizedLogin
from actorcred.plugins import start_group

__all__ = ["AllowingChecker", "DenyingChecker", "allow_plugin", "deny_plugin"]

POLL = 2.0
"""Seconds between two looks whether a list has changed, for the sake of live sessions."""


class _ListingChecker(Filter):
    """Asks another checker, and then looks who it is."""

    def __init__(self, checkers: tuple[CheckerRef, ...], names: Collection[str] | os.PathLike[str]) -> None:
        super().__init__(checkers)
        self._path = Path(names) if isinstance(names, os.PathLike) else None
        self._seen: tuple[int, ...] = ()
        self._names = frozenset() if self._path is not None else frozenset(make_avatar_id(name) for name in names)  # type: ignore[union-attr]
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise AccountError(f"cannot read the list {str(self._path)!r}: {error}") from None

    @classmethod
    def start(  # type: ignore[override]
        cls, checker: CheckerRef, names: Collection[str] | os.PathLike[str], *, dispatcher: Dispatcher | None = None
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cls.launch((checker,), names, dispatcher=dispatcher)

    def on_start(self) -> None:
        """Begin to watch the file."""
        if self._path is not None:
            self.send_every(POLL, ControlCall(("_poll",)))

    def may_enter(self, avatar_id: AvatarId, names: frozenset[str]) -> bool:
        """Tell whether somebody may come in by this list."""
        raise TypeError("to be said by the subclass")

    def after(self, credentials: Any, avatar_id: AvatarId) -> AvatarId:
        """Refuse those who may not come in."""
        try:
            self._read()
        except (OSError, ValueError):
            raise CheckerUnavailable(f"the list {self._path} cannot be read") from None
        if not self.may_enter(avatar_id, self._names):
            raise UnauthorizedLogin("not by the list")
        return avatar_id

    def _read(self) -> None:
        if self._path is None:
            return
        status = self._path.stat()
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen != self._seen:
            lines = (line.strip() for line in self._path.read_text().splitlines())
            self._names = frozenset(make_avatar_id(line) for line in lines if line and not line.startswith("#"))
            self._seen = seen

    def _poll(self) -> None:
        """Revoke those who may not be here any more."""
        before = self._names
        try:
            self._read()
        except (OSError, ValueError):
            return  # logins say so; live sessions stay
        for name in before ^ self._names:
            if self.may_enter(name, before) and not self.may_enter(name, self._names):
                self.revoked(name, Revocation.DISABLED)


class AllowingChecker(_ListingChecker):
    """Asks another checker, and then lets in only those on a list.

    Args:
        checker: a ref to the started checker. It stops with this one.
        names: avatar ids; or the path of a file with one on each line, which is read again when it has changed.

    Raises:
        AccountError: if the file cannot be read.
    """

    def may_enter(self, avatar_id: AvatarId, names: frozenset[str]) -> bool:
        """Tell whether somebody is on the list."""
        return avatar_id in names


class DenyingChecker(_ListingChecker):
    """Asks another checker, and then keeps out those on a list. Its arguments are those of `AllowingChecker`."""

    def may_enter(self, avatar_id: AvatarId, names: frozenset[str]) -> bool:
        """Tell whether somebody is not on the list."""
        return avatar_id not in names


def _plugin(kind: type[_ListingChecker], auth_type: str, who: str) -> CheckerPlugin:
    def generate(argument: ArgString) -> CheckerRef:
        options = read_options(argument, {"names": str.split, "file": Path})
        if len(options) != 1:
            raise ValueError("needs one of the options names and file")
        names: Any = next(iter(options.values()))
        checker = start_group(argument)
        try:
            return kind.start(checker, names)
        except BaseException:
            checker.stop(block=False)
            raise

    text = f"Lets in {who}: the option names=ann bob, or file=PATH with one on each line."
    return CheckerPlugin(auth_type, "(TYPE:...)", text, (object,), generate)


allow_plugin = _plugin(AllowingChecker, "allow", "only those on a list")
deny_plugin = _plugin(DenyingChecker, "deny", "all but those on a list")
