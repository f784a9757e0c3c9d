"""What a stub must know of an interface."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import pytest

from actorcred import Avatar
from actorcred.cli.interfaces import InterfaceError, methods_in

if TYPE_CHECKING:
    from decimal import Decimal


class Base:
    def hi(self) -> str: ...  # type: ignore[empty-body]
    def gone(self) -> None: ...


class Player(Base):
    gone = None  # type: ignore[assignment]

    def move(self, dx: float, dy=0.0) -> int: ...  # type: ignore[no-untyped-def, empty-body]
    async def think(self) -> list[str]: ...  # type: ignore[empty-body]
    def wait(self) -> Coroutine[Any, Any, bool]: ...  # type: ignore[empty-body]
    def untyped(self): ...  # type: ignore[no-untyped-def]
    def _private(self) -> None: ...


class Hidden:
    def pay(self, price: Decimal) -> None: ...


class Empty:
    _nothing = 1


def test_public_methods_are_found_with_those_of_the_bases() -> None:
    methods = methods_in(Player)
    assert [one.name for one in methods] == ["hi", "move", "think", "wait", "untyped"]
    assert [one.result for one in methods] == [str, int, list[str], bool, Any]
    move = methods[1]
    assert move.where == "Player.move"
    assert [(one.name, one.annotation) for one in move.parameters] == [("dx", float), ("dy", Any)]


@pytest.mark.parametrize(
    ("interface", "error"),
    [
        (Hidden, r"Hidden.pay\(\) has an annotation that cannot be resolved: name 'Decimal'"),
        (Empty, "Empty has no public methods"),
    ],
)
def test_what_is_wrong_with_an_interface_is_said(interface: type, error: str) -> None:
    with pytest.raises(InterfaceError, match=error):
        methods_in(interface)


def test_an_actor_is_no_interface() -> None:
    with pytest.raises(TypeError, match="Avatar is an actor and not an interface"):
        methods_in(Avatar)
