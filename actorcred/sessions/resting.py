"""Avatars that sleep, as their sessions see them."""

from __future__ import annotations

import threading
import weakref
from abc import abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from actorcred.actors import ActorRef
from actorcred.actors.cell import Cell
from actorcred.sessions.sharing import SharedAvatar

__all__ = ["Rest", "Resting"]


R = TypeVar("R", bound=ActorRef[Any])

_lock = threading.Lock()
"""Held while the mailbox of a sleeping avatar is dropped or made anew."""


class Rest(Protocol):
    """What is kept of a sleeping avatar that no one else refers to."""

    def mailbox(self) -> Cell:
        """Return a new mailbox for the avatar, which wakes with its first message."""


class Resting(Generic[R]):
    """The part of a session that knows whether its avatar sleeps.

    If no one else refers to the mailbox of a sleeping avatar, it is dropped, and made anew when
    `avatar` is next used.
    """

    __slots__ = ("_avatar", "_rest")

    last_seen: float
    _avatar: Any
    """The ref to the avatar; None if its mailbox was dropped."""
    _rest: Rest | Cell | None
    """What is kept of a sleeping avatar, or the mailbox of one that has ended."""

    # No `__getattr__`, which would make all other attributes slower.
    @property
    def avatar(self) -> R:
        """The client's ref to the avatar; it works while the session is open."""
        ref: R | None = self._avatar
        return self._new_ref() if ref is None else ref

    @avatar.setter
    def avatar(self, ref: R) -> None:
        self._avatar = ref

    def _new_ref(self) -> R:
        """Return a new ref to a sleeping avatar whose mailbox was dropped."""
        with _lock:
            rest = self._rest
            if rest is None:
                if self._avatar is not None:  # another thread was faster
                    return self._avatar  # type: ignore[no-any-return]
                raise AttributeError(f"{self!r} has no avatar yet", name="avatar", obj=self)
            if isinstance(rest, Cell):
                return self._ref_to(rest)
            self._rest = None
            mailbox = rest.mailbox()
            ref: R = self._ref_to(mailbox)
            self._avatar = ref
            mailbox.watch(self)
            return ref

    @abstractmethod
    def _ref_to(self, mailbox: Cell) -> R:
        """Return a ref for the client."""

    @abstractmethod
    def __call__(self, cause: BaseException | None) -> None:
        """Report to the portal that the avatar has ended. This is the avatar's watcher."""

    @property
    @abstractmethod
    def shared(self) -> SharedAvatar[Any] | None:
        """The sessions that share the avatar; None if it is not shared."""

    @property
    def asleep(self) -> bool:
        """Whether the avatar sleeps; its next message wakes it."""
        rest = self._rest
        return not isinstance(rest, Cell) and (rest is not None or self.avatar.actor_inbox.asleep)

    @property
    def may_sleep(self) -> bool:
        """Whether the avatar is awake and can sleep."""
        if self._rest is not None:
            return False
        mailbox = self.avatar.actor_inbox
        return not mailbox.asleep and getattr(mailbox.actor_class, "has_snapshot", False)

    @property
    def last_seen_of_all(self) -> float:
        """When a client last used the avatar, of all that share it, on the portal's clock."""
        shared = self.shared
        if shared is None:
            return self.last_seen
        return max(float(one.last_seen) for one in shared.sessions.values())

    def part_from_avatar(self) -> None:
        """Keep no ref to an avatar that has ended.

        The ref refers to the session: without this circle, both are freed with their last user, and
        the garbage collector has nothing to find.
        """
        with _lock:
            if self._rest is None:
                self._rest = self.avatar.actor_inbox
                self._avatar = None

    def let_go(self) -> None:
        """Drop the mailbox of a sleeping avatar, unless someone else refers to it."""
        with _lock:
            if self._rest is not None or self.shared is not None:
                return
            ref = self._avatar
            if not ref.actor_inbox.asleep or ref.actor_inbox.watchers is not self:
                return
            rest = ref.actor_inbox.blueprint
            referred, used = weakref.ref(ref), weakref.ref(ref.actor_inbox)
            ref = self._avatar = None
            mailbox = used()
            if mailbox is None:
                self._rest = rest
            else:
                self._avatar = referred() or self._ref_to(mailbox)
