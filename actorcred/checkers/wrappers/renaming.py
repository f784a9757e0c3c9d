"""Renaming of avatar ids."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options, yes_or_no
from actorcred.auth.registry import start_group
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.wrappers.wrapper import Filter
from actorcred.errors import CheckerUnavailable
from actorcred.identity import Identity, InvalidIdentity
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.naming import IdSpace

__all__ = ["RenamingChecker", "plugin", "renaming"]


logger = logging.getLogger("actorcred.checkers")


class RenamingChecker(Filter):
    """Asks another checker, and changes the avatar id of each login.

    Args:
        checker: a ref to the started checker. It stops with this one.
        rename: avatar id -> avatar id. Two people for whom it returns the same id are the same
            user. `ANONYMOUS` is not changed.
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

    def id_spaces(self) -> Iterable[IdSpace]:
        """Return that nothing is known of the avatar ids: a function can give any."""
        return tuple(IdSpace(f"{space.store} renamed") for space in super().id_spaces())

    def after(self, credentials: Any, identity: Identity) -> Identity:
        """Return the identity with the new avatar id."""
        avatar_id = identity.avatar_id
        if avatar_id is ANONYMOUS:
            return identity
        try:
            return identity.replaced(avatar_id=self._rename(avatar_id))
        except InvalidIdentity as error:
            raise CheckerUnavailable(f"the new name is no avatar id: {error}") from None

    def revoked(self, avatar_id: AvatarId, what: Revocation) -> None:
        """Pass on a revocation under the new avatar id.

        An account that has no new avatar id has no sessions here.
        """
        try:
            renamed = self.after(None, Identity(avatar_id)).avatar_id
        except Exception as error:  # raised by the application's function for one name
            logger.warning(
                "The revocation of %r cannot be passed on: it has no new avatar id (%s)",
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
        strip: the domain to remove: "ann@example.org" becomes "ann". Names in other domains are
            not changed, since their "ann" is another user.
        lower: convert to lower case, by Unicode's case folding.
        add: the domain to add to names without one.
        names: old name -> new name, replaced before anything else.
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
    "Changes the names of users. Options: strip=DOMAIN removes @DOMAIN, add=DOMAIN adds it to "
    "names without a domain, lower=yes converts to lower case, names=root>admin ann>anna renames "
    "some.",
    (object,),
    _generate,
)
