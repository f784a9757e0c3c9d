"""Lists of users who may log in, or may not."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.auth.registry import start_group
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.bases.polling import PollingChecker
from actorcred.checkers.bases.watched import WatchedFile, lines_that_count, why
from actorcred.checkers.wrappers.wrapper import Filter
from actorcred.errors import CheckerUnavailable, RefusalCause, UnauthorizedLogin
from actorcred.identity import Identity
from actorcred.names import AvatarId, make_avatar_id, prepare_username

__all__ = ["AllowingChecker", "DenyingChecker", "allow_plugin", "deny_plugin"]


logger = logging.getLogger("actorcred.checkers")


class _ListingChecker(PollingChecker, Filter):
    """Asks another checker, and then looks the user up in a list."""

    def __init__(
        self, checkers: tuple[CheckerRef, ...], names: Collection[str] | os.PathLike[str]
    ) -> None:
        super().__init__(checkers)
        self._file: WatchedFile[frozenset[str]] | None = None
        self._names: frozenset[str] = frozenset()
        if isinstance(names, os.PathLike):
            self._file = WatchedFile(names, self._parse, lines=True)
        else:
            self._names = frozenset(make_avatar_id(name) for name in names)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        checker: CheckerRef,
        names: Collection[str] | os.PathLike[str],
        *,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cls.launch((checker,), names, dispatcher=dispatcher)

    def on_start(self) -> None:
        """Start watching the file."""
        if self._file is not None:
            self.start_polling()

    def _parse(self, raw: bytes) -> frozenset[str]:
        """Return the avatar ids in a file.

        A line that cannot be used is logged and does not affect the others.
        """
        names: set[str] = set()
        unreadable: UnicodeDecodeError | None = None
        for number, line in lines_that_count(raw):
            try:
                names.add(make_avatar_id(line.decode()))
            except ValueError as error:
                logger.warning("line %d of a list cannot be used: %s", number, why(error))
                unreadable = error if isinstance(error, UnicodeDecodeError) else unreadable
            names.update(self.also_meant(line))
        if not names and unreadable is not None:
            raise unreadable
        return frozenset(names)

    def also_meant(self, line: bytes) -> Iterator[str]:
        """Iterate over other avatar ids that a line of the file might mean."""
        return iter(())

    def may_enter(self, avatar_id: AvatarId, names: frozenset[str]) -> bool:
        """Return whether a user may log in according to a list."""
        raise TypeError("subclasses must override may_enter")

    def after(self, credentials: Any, identity: Identity) -> Identity:
        """Refuse users who may not log in."""
        try:
            names = self._names if self._file is None else self._file.read()
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"the list cannot be used: {why(error)}") from None
        if not self.may_enter(identity.avatar_id, names):
            refused = UnauthorizedLogin("refused by the list", known=True)
            raise refused.because(RefusalCause.NOT_PERMITTED)
        return identity

    def poll(self) -> None:
        """Revoke users who may no longer be logged in."""
        before, now = (self._file and self._file.poll()) or (frozenset(), frozenset())
        for name in before ^ now:
            if self.may_enter(name, before) and not self.may_enter(name, now):
                self.revoked(name, Revocation.DISABLED)


class AllowingChecker(_ListingChecker):
    """Asks another checker, and then accepts only users on a list.

    Args:
        checker: a ref to the started checker. It stops with this one.
        names: avatar ids; or the path of a file with one on each line, which is read again when it
            has changed.

    Raises:
        AccountError: if the file cannot be read.
    """

    def may_enter(self, avatar_id: AvatarId, names: frozenset[str]) -> bool:
        """Return whether a user is on the list."""
        return avatar_id in names


class DenyingChecker(_ListingChecker):
    """Asks another checker, and then refuses users on a list. Takes `AllowingChecker`'s arguments.

    A line of the file refuses every user that it might mean: a name is also taken in the form in
    which names are compared, and as Latin-1 if it is not UTF-8.
    """

    def also_meant(self, line: bytes) -> Iterator[str]:
        """Iterate over other avatar ids that a line of the file might mean."""
        for encoding in ("utf-8", "latin-1"):
            try:
                text = line.decode(encoding)
            except UnicodeDecodeError:
                continue
            for make in (make_avatar_id, prepare_username):
                with contextlib.suppress(ValueError):
                    yield make(text)
            return

    def may_enter(self, avatar_id: AvatarId, names: frozenset[str]) -> bool:
        """Return whether a user is not on the list."""
        return avatar_id not in names


def _plugin(kind: type[_ListingChecker], auth_type: str, who: str) -> CheckerPlugin:
    def generate(argument: ArgString) -> CheckerRef:
        options = read_options(argument, {"names": str.split, "file": Path})
        if len(options) != 1:
            raise ValueError("needs one of the options names and file")
        names: Any = next(iter(options.values()))
        return kind.start(start_group(argument), names)

    text = f"Accepts {who}: the option names=ann bob, or file=PATH with one name on each line."
    return CheckerPlugin(auth_type, "(TYPE:...)", text, (object,), generate)


allow_plugin = _plugin(AllowingChecker, "allow", "only users on a list")

deny_plugin = _plugin(DenyingChecker, "deny", "all users except those on a list")
