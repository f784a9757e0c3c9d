"""The methods that clients can call, and their arguments."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
import pytest

from actorcred import Avatar, CallError, reauthenticated
from actorcred.methods import Demand, as_sendable, demands_of, methods_of, requires
from actorcred.rpc.protocol.codec import JSON, MSGPACK

if TYPE_CHECKING:
    from somewhere import Unimportable


@dataclass
class Spot:
    x: float
    y: float = 0.0


class Base(ABC):
    @abstractmethod
    def inherited(self) -> None: ...


class Player(Base):
    limit = 3

    @abstractmethod
    def move(self, dx: float, dy: float = 0.0) -> Unimportable: ...
    def rest(self, first: int, *more: str) -> None: ...
    def untyped(self, value): ...  # type: ignore[no-untyped-def]
    def send(self, data: bytes, spot: Spot | None = None) -> None: ...
    async def slow(self) -> None: ...
    def _hidden(self) -> None: ...
    def options(self, *, loud: bool = False) -> None: ...

    @property
    def place(self) -> int:
        return 1

    @staticmethod
    def static() -> None: ...
    @classmethod
    def klass(cls) -> None: ...


class Shape(Protocol):
    def area(self) -> float: ...


def arguments(method: str, *params: Any, codec: Any = MSGPACK) -> Any:
    return methods_of(Player)[method].arguments(list(params), codec.convert)


def test_only_public_methods_that_are_declared_can_be_called() -> None:
    assert set(methods_of(Player)) == {
        "inherited",
        "move",
        "rest",
        "untyped",
        "send",
        "slow",
        "options",
    }
    assert set(methods_of(Shape)) == {"area"}


def test_arguments_are_given_as_the_annotations_say() -> None:
    assert arguments("move", 1) == (1.0,)
    assert arguments("move", 1, 2) == (1.0, 2.0)
    assert arguments("rest", 1, "a", "b") == (1, "a", "b")
    assert arguments("untyped", {"any": ["thing"]}) == ({"any": ["thing"]},)
    assert arguments("send", b"\xff", {"x": 1}) == (b"\xff", Spot(1.0))
    assert arguments("send", "/w==", codec=JSON) == (b"\xff",)
    assert arguments("options") == ()


def test_arguments_of_exactly_the_annotated_types_are_taken_as_they_are() -> None:
    class Exact:
        def plain(self, text: str, number: float | None = None, flag: bool = False) -> None: ...
        def untyped(self, *values: Any) -> None: ...
        def pair(self, first: Any, second: int | str) -> None: ...
        def short(self, text: Annotated[str, msgspec.Meta(max_length=3)]) -> None: ...
        def many(self, a: Any, b: Any, c: Any) -> None: ...

    methods = methods_of(Exact)
    values: list[Any] = ["x", 1, 1.5, True, None, b"x", [1], {"a": 1}]
    for name, method in methods.items():
        for count in range(4):
            for params in itertools.product(values, repeat=count):
                assert outcome(method, list(params)) == outcome(method, [*params], exact=False), (
                    name,
                    params,
                )
    assert methods["short"].arguments(["abc"], MSGPACK.convert) == ("abc",)
    with pytest.raises(CallError, match="short"):
        methods["short"].arguments(["abcd"], MSGPACK.convert)


def outcome(method: Any, params: list[Any], *, exact: bool = True) -> Any:
    """Return the arguments with their types, or the error; without `exact` all are converted."""
    known = method._exact
    if not exact:
        method._exact = frozenset()
    try:
        return [(type(value), value) for value in method.arguments(params, MSGPACK.convert)]
    except CallError as error:
        return str(error)
    finally:
        method._exact = known


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("move", []),
        ("move", [1, 2, 3]),
        ("move", ["1"]),
        ("rest", ["a"]),
        ("rest", [1, 2]),
        ("send", ["text"]),
        ("send", [b"", {}]),
        ("slow", [1]),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(method: str, params: list[Any]) -> None:
    with pytest.raises(CallError, match=method) as error:
        arguments(method, *params)
    assert error.value.code == "bad-arguments"


def test_what_no_wire_carries_is_found_when_the_server_starts() -> None:
    class Opaque: ...

    class Bad:
        def take(self, value: Opaque) -> None: ...

    class Keyword:
        def take(self, *, value: int) -> None: ...

    with pytest.raises(TypeError, match="annotation that cannot be resolved"):
        methods_of(Bad)
    with pytest.raises(TypeError, match="needs the keyword 'value'"):
        methods_of(Keyword)

    class Game(Avatar): ...

    with pytest.raises(TypeError, match="is an actor and not an interface"):
        methods_of(Game)


def test_a_proof_of_the_credentials_can_be_demanded() -> None:
    class Bank:
        @reauthenticated(within=60)
        def pay(self) -> None: ...

    assert demands_of(Bank) == {"pay": Demand(within=60)}
    with pytest.raises(ValueError, match="more than 0"):
        reauthenticated(within=0)


def test_a_proof_by_certain_methods_can_be_demanded() -> None:
    class Bank:
        @reauthenticated(within=60, methods=("otp",))
        def pay(self) -> None: ...

    assert demands_of(Bank) == {"pay": Demand(within=60, methods=frozenset({"otp"}))}
    with pytest.raises(TypeError, match="several names"):
        reauthenticated(within=60, methods="otp")
    with pytest.raises(TypeError, match="several names"):
        reauthenticated(within=60, methods=(1,))  # type: ignore[arg-type]


def test_roles_are_demanded_by_a_method_or_by_a_whole_interface() -> None:
    class Room:
        def say(self) -> None: ...

    @requires("staff")
    class Desk(Room):
        @requires("moderator", "admin")
        def kick(self) -> None: ...

        def _inner(self) -> None: ...

    staff, power = frozenset({"staff"}), frozenset({"moderator", "admin"})
    assert demands_of(Room) is None
    assert demands_of(Desk) == {
        "say": Demand(roles=(staff,)),
        "kick": Demand(roles=(staff, power)),
    }


def test_several_roles_can_be_demanded_together_and_hold_for_overrides() -> None:
    class Room:
        @requires("moderator")
        @requires("awake")
        def kick(self) -> None: ...

    class Open(Room):
        def kick(self) -> None: ...

    assert demands_of(Room) == {"kick": Demand((frozenset({"awake"}), frozenset({"moderator"})))}
    assert demands_of(Open) == demands_of(Room)


@pytest.mark.parametrize("roles", [(), ("",), (1,)])
def test_a_demand_without_a_role_is_an_error_where_it_is_made(roles: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="needs roles"):
        requires(*roles)


@dataclass
class Positive:
    value: int

    def __post_init__(self) -> None:
        raise ArithmeticError("s3cret")


@dataclass
class Checked:
    value: int

    def __post_init__(self) -> None:
        raise ValueError("s3cret")


class Own:
    def take(self, value: Positive) -> None: ...
    def check(self, value: Checked) -> None: ...
    def collect(self, values: set[Any]) -> None: ...


class Unknown: ...


class Vague:
    def take(self, value: Unknown) -> None: ...


class Mixed:
    def take(self, value: list[int] | set[int]) -> None: ...


def test_an_error_of_the_applications_own_types_does_not_reach_the_client() -> None:
    for method, params in (
        ("take", [{"value": -1}]),
        ("check", [{"value": -1}]),
        ("collect", [[[1], [2]]]),
    ):
        with pytest.raises(CallError, match=method) as error:
            methods_of(Own)[method].arguments(params, MSGPACK.convert)
        assert error.value.code == "bad-arguments"
        assert "s3cret" not in str(error.value)


def test_types_that_no_codec_carries_are_named_with_their_method() -> None:
    with pytest.raises(TypeError, match="is not a number, string, bytes"):
        methods_of(Vague)
    with pytest.raises(TypeError, match=r"take.* cannot be sent over the wire"):
        methods_of(Mixed)


def test_a_number_of_a_class_of_its_own_is_sendable_and_nothing_else_is() -> None:
    class Total(int):
        pass

    assert type(as_sendable(Total(3))) is int
    with pytest.raises(TypeError, match="objects of type object"):
        as_sendable(object())
