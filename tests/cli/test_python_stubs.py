"""The stub of a proxy in Python. That type checkers accept it is tested in tests/typing."""

from __future__ import annotations

import builtins
import re
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import pytest

from actorcred import Future
from actorcred.cli.interfaces import InterfaceError
from actorcred.cli.python_stubs import python_stub

T = TypeVar("T")
Gold = NewType("Gold", int)


class Colour(Enum):
    RED = 1


HERE = "tests.cli.test_python_stubs"


def stub_of(function: Any, **others: Any) -> list[str]:
    """Return the lines of a stub's imports, and a line for each of its methods."""
    interface = type("Player", (), {"play": function, **others})
    text = python_stub("game:Player", interface)
    text = re.sub(r"\(\n +(.*?),\n    \) ->", flat, text, flags=re.DOTALL)
    lines = text.splitlines()
    return [line.strip() for line in lines if line.startswith("    ") and '"""' not in line]


def flat(match: re.Match[str]) -> str:
    parameters = re.sub(r",\n +", ", ", match[1])
    return f"({parameters}) ->"


def test_a_stub_is_a_protocol_whose_methods_return_futures() -> None:
    class Player:
        def move(self, dx: float, dy: float = 0.0) -> tuple[float, float]: ...  # type: ignore[empty-body]
        async def think(self, about: str) -> None: ...

    assert (
        python_stub("game:Player", Player)
        == '''\
# isort: skip_file
"""The proxy of a `Player` for type checkers: `avatar.proxy(PlayerProxy)`.

Made by `actorcred stubs game:Player`. Make it again when the interface has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from actorcred import Future

__all__ = ["PlayerProxy"]


class PlayerProxy(Protocol):
    """The methods of `game:Player`, each of which returns a future."""

    def move(self, dx: float, dy: float = ...) -> Future[tuple[float, float]]: ...
    def think(self, about: str) -> Future[None]: ...
'''
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "int"),
        (None, "None"),
        (Any, "Any"),
        (list[str], "list[str]"),
        (typing.List[str], "list[str]"),  # noqa: UP006
        (typing.List, "list"),  # noqa: UP006
        (tuple[()], "tuple[()]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Optional[int], "int | None"),  # noqa: UP045
        (Union[int, str], "int | str"),  # noqa: UP007
        (int | None, "int | None"),
        (Mapping[str, Colour], f"Mapping[str, {HERE}.Colour]"),
        (Literal["it's", 1, Colour.RED], f'Literal["it\'s", 1, {HERE}.Colour.RED]'),
        (Annotated[int, "more"], "int"),
        (Callable[[int], str], "Callable[[int], str]"),
        (Callable[..., None], "Callable[..., None]"),
        (type[Colour], f"type[{HERE}.Colour]"),
        (Gold, f"{HERE}.Gold"),
        (Future[bytes], "Future[bytes]"),
    ],
)
def test_types_are_written_as_in_the_source(kind: Any, text: str) -> None:
    def play(self: Any, it: Any) -> Any: ...

    play.__annotations__["it"] = kind
    *imports, line = stub_of(play)
    assert line == f"def play(self, it: {text}) -> Future[Any]: ..."
    assert (f"import {HERE}" in imports) == (HERE in text)
    assert "from actorcred import Future" in imports


def test_parameters_of_all_kinds_are_kept() -> None:
    def play(self: Any, a: int, /, b: int = 1, *c: int, d: int, **f: int) -> None: ...
    def only(self: Any, a: int, /) -> None: ...
    def named(self: Any, *, a: int) -> None: ...

    assert stub_of(play, only=only, named=named)[1:] == [
        "def play(self, a: int, /, b: int = ..., *c: int, d: int, **f: int) -> Future[None]: ...",
        "def only(self, a: int, /) -> Future[None]: ...",
        "def named(self, *, a: int) -> Future[None]: ...",
    ]


def test_a_long_method_has_a_line_for_each_parameter() -> None:
    class Player:
        def play(self, the_first_of_three: str, the_second_of_three: str, third: str) -> int: ...  # type: ignore[empty-body]

    assert """
    def play(
        self,
        the_first_of_three: str,
        the_second_of_three: str,
        third: str,
    ) -> Future[int]: ...
""" in python_stub("game:Player", Player)


def test_a_method_does_not_hide_a_type_of_the_same_name() -> None:
    def play(self: Any, a: builtins.list[int], b: Colour, c: Any) -> None: ...

    lines = stub_of(play, list=lambda self: None, tests=lambda self: None, Any=lambda self: None)
    assert "import builtins as _builtins" in lines
    assert "import typing as _typing" in lines
    assert "import tests.cli.test_python_stubs as _tests_cli_test_python_stubs" in lines
    (line,) = (line for line in lines if line.startswith("def play"))
    assert "a: _builtins.list[int]" in line
    assert "b: _tests_cli_test_python_stubs.Colour" in line
    assert "c: _typing.Any" in line


@pytest.mark.parametrize("kind", [T, list[T], "typing.Self", typing.NoReturn])
def test_a_type_that_cannot_be_written_is_an_error_that_names_the_method(kind: Any) -> None:
    def play(self: Any, it: Any) -> None: ...

    play.__annotations__["it"] = typing.Self if kind == "typing.Self" else kind
    with pytest.raises(InterfaceError, match=r"play\(\): the annotation .* cannot be written"):
        stub_of(play)


def test_a_type_that_cannot_be_imported_is_an_error() -> None:
    class Local:
        pass

    def play(self: Any, it: Any) -> None: ...

    play.__annotations__["it"] = Local
    with pytest.raises(InterfaceError, match="Local is local to a function"):
        stub_of(play)
