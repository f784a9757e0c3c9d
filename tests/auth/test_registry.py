"""Types of authentication are found by name, and a broken one harms no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

import pytest

from actorcred import UsernamePassword
from actorcred.actors import InlineDispatcher, statistics
from actorcred.auth import registry
from actorcred.auth.descriptors import DescriptorError, parse_descriptor
from actorcred.auth.registry import (
    GROUP,
    SOURCES,
    CheckerPlugin,
    broken_plugins,
    find_plugin,
    from_string,
    own_plugins,
    plugins,
    start_group,
    start_groups,
    usable_with,
)
from actorcred.checkers.memory import MemoryChecker
from actorcred.credentials import BearerToken
from tests.helpers import until

HERE = "tests.auth.test_registry"

good = CheckerPlugin(
    "good", "", "", (UsernamePassword,), lambda argument: MemoryChecker.start({}, rounds=4)
)
twin = CheckerPlugin("good", "", "", (), lambda argument: None)
useless = CheckerPlugin("useless", "", "", (), lambda argument: "nothing")


def source() -> list[CheckerPlugin]:
    return [CheckerPlugin("other-one", "", "", (BearerToken,), lambda argument: None)]


def missing() -> list[CheckerPlugin]:
    raise ImportError("its framework is not installed")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return what has these entry points be all that are installed."""

    def install(**entries: str) -> None:
        points = [
            EntryPoint(name, f"{HERE}:{value}", SOURCES if value in sources else GROUP)
            for name, value in entries.items()
        ]
        monkeypatch.setattr(
            registry,
            "entry_points",
            lambda group, name=None: [
                point for point in points if point.group == group and name in {None, point.name}
            ],
        )
        clear()

    def clear() -> None:
        registry._load.cache_clear()
        registry._load_source.cache_clear()

    sources = {"source", "missing"}
    clear()
    yield install
    clear()


def test_a_type_is_found_by_its_name(installed: Callable[..., None]) -> None:
    installed(good="good")

    assert own_plugins() == plugins() == {"good": good}
    assert find_plugin("good") is good
    assert find_plugin("bad") is None
    assert broken_plugins() == {}


def test_a_broken_type_is_named_in_the_log_and_harms_no_other(
    installed: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    installed(good="good", odd="HERE", twin="twin", gone="not_there")

    assert list(plugins()) == ["good"]
    assert set(broken_plugins()) == {"gone", "odd", "twin"}
    assert "it lacks auth_type" in broken_plugins()["odd"]
    assert "a type called 'good' already exists" in broken_plugins()["twin"]
    assert "The type of authentication 'gone' cannot be used" in caplog.text


def test_a_source_brings_many_types_and_may_be_missing(installed: Callable[..., None]) -> None:
    installed(good="good", other="source", lost="missing")

    assert set(plugins()) == {"good", "other-one"}
    assert set(own_plugins()) == {"good"}
    found = find_plugin("other-one")
    assert found is not None
    assert found.auth_type == "other-one"
    assert find_plugin("lost-one") is None


def test_a_type_that_makes_no_checker_or_is_not_there_is_shown_where_it_is(
    installed: Callable[..., None],
) -> None:
    installed(good="good", useless="useless")
    with pytest.raises(DescriptorError, match="must return a started checker, not str"):
        from_string("useless")
    with pytest.raises(DescriptorError, match="did you mean 'good'"):
        from_string("goood")
    with pytest.raises(DescriptorError, match="use one of good, useless"):
        from_string("xyz")


def test_a_checker_runs_where_it_is_wanted() -> None:
    there = InlineDispatcher("there")
    checker = from_string("first:(memory:ann:a)(anonymous)", dispatcher=there)

    assert checker.actor_inbox.dispatcher is there
    assert len(there.mailboxes) == 3


def test_a_mistake_shows_the_form() -> None:
    with pytest.raises(DescriptorError, match=r"memory: needs names .*; the form is memory:NAME"):
        from_string("memory:ann")


def test_of_several_checkers_none_stays_if_one_cannot_be_started() -> None:
    good_ones = start_groups(parse_descriptor("first:(memory:a:b)(anonymous)").argument)
    assert len(good_ones) == 2
    for checker in good_ones:
        checker.stop()
    with pytest.raises(DescriptorError):
        start_groups(parse_descriptor("first:(memory:a:b)(memory:c)").argument)
    until(lambda: statistics().actors == 0)
    with pytest.raises(DescriptorError, match="expected one descriptor in parentheses"):
        start_group(parse_descriptor("cache:(anonymous)(anonymous)").argument)
    assert start_group(parse_descriptor("cache:(anonymous)").argument).is_alive()


@pytest.mark.parametrize(
    ("kinds", "usable"),
    [((UsernamePassword,), True), ((BearerToken,), False), ((object,), True), ((), False)],
)
def test_a_type_is_of_use_to_protocols_that_make_its_credentials(
    kinds: tuple[type, ...], usable: bool
) -> None:
    assert usable_with(good, kinds) is usable
