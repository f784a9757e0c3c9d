"""Avatar ids under other names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options, yes_or_no
from actorcred.auth.registry import start_group
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.wrappers.wrapper import Filter, checked_avatar_id
from actorcred.names import ANONYMOUS, AvatarId

__all__ = ["RenamingChecker", "plugin", "renaming"]


logger = logging.getLogger("actorcred.checkers")


class RenamingChecker(Filter):
    """Asks another checker, and gives those who come in other avatar ids.

    Args:
        checker: a ref to the started checker. It stops with this one.
        rename: avatar id -> avatar id. Two people whom it gives the same one are the same user. `ANONYMOUS` stays.
    """

    def __init__(self, checkers: tuple[CheckerRef, ...], rename: Callable[[str], str]) -> None:
        super().__init__(checkers)
        self._rename = rename

    @classmethod
    def start(  # type: ignore[override]
        cls,
        checker: CheckerRef,
        rename: Callable[[str], str],
        *,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cls.launch((checker,), rename, dispatcher=dispatcher)

    def after(self, credentials: Any, avatar_id: AvatarId) -> AvatarId:
        """Return the other name."""
        return (
            avatar_id
            if avatar_id is ANONYMOUS
            else checked_avatar_id(self.checker, self._rename(avatar_id))
        )

    def revoked(self, avatar_id: AvatarId, what: Revocation) -> None:
        """Pass on what happened to an account, under its other name. One for which there is none has no sessions here."""
        try:
            renamed = self.after(None, avatar_id)
        except Exception as error:  # the application's, about one name
            logger.warning(
                "What happened to %r cannot be passed on: there is no other name (%s)",
                avatar_id,
                type(error).__name__,
            )
            return
        super().revoked(renamed, what)


def renaming(
    *, strip: str = "", lower: bool = False, add: str = "", names: dict[str, str] | None = None
) -> Callable[[str], str]:
    """Return a function for `RenamingChecker`.

    Args:
        strip: this domain is taken away: "ann@example.org" becomes "ann". Those of other domains stay, since theirs is
            another Ann.
        lower: make capitals small, after Unicode's case folding.
        add: this domain is added to names without one.
        names: these ones become those, before anything else.
    """

    def rename(name: str) -> str:
        name = (names or {}).get(name, name)
        name = name.casefold() if lower else name
        if strip:
            local, at, domain = name.rpartition("@")
            name = local if at and local and domain.casefold() == strip.casefold() else name
        return f"{name}@{add}" if add and "@" not in name else name

    return rename


def _pairs(text: str) -> dict[str, str]:
    pairs = [word.split(">") for word in text.split()]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise ValueError(text)
    return dict(pairs)


def _generate(argument: ArgString) -> CheckerRef:
    options = read_options(
        argument, {"strip": str, "add": str, "lower": yes_or_no, "names": _pairs}
    )
    return RenamingChecker.start(start_group(argument), renaming(**options))


plugin = CheckerPlugin(
    "rename",
    "(TYPE:...)",
    "Gives those who come in other names. Options: strip=DOMAIN takes @DOMAIN away, add=DOMAIN puts it where there is none, "
    "lower=yes makes capitals small, names=root>admin ann>anna renames some.",
    (object,),
    _generate,
)
