"""Who is in a group, through groups in groups, in a directory that lists what the test says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ldap", reason="python-ldap is not installed: pip install 'actorcred[ldap]'")

import ldap

from actorcred import UnauthorizedLogin
from actorcred.checkers.ldap import groups
from actorcred.checkers.ldap.groups import LDAPGroup, in_chain, members

GROUP = "cn=players,ou=groups,dc=example"
ANN = "uid=ann,dc=example"


class Directory:
    """Group -> its members; a real server's answers are in tests/checkers/test_ldap.py."""

    def __init__(self, contexts: list[str], **inside: list[str]) -> None:
        self.inside, self.contexts = inside, contexts
        self.asked: list[str] = []

    def has(self, dn: str, filter: str) -> bool:  # noqa: A002
        self.asked.append(filter)
        return any(f"member={who})" in filter for who in self.inside.get(dn, ()))

    def search(self, search: Any) -> list[tuple[str, Any]]:
        self.asked.append(search.base)
        if self.inside.get("too many"):
            raise ldap.SIZELIMIT_EXCEEDED
        return [
            (dn, {})
            for dn, inside in self.inside.items()
            if any(f"member={who})" in search.filter for who in inside)
        ]

    def root(self, attribute: str) -> list[str]:
        return self.contexts


def group_in(directory: Directory, *, nested: str = "yes", base: str = "") -> LDAPGroup:
    settings = SimpleNamespace(group=GROUP, nested=nested, group_base=base)
    return LDAPGroup(directory, settings)  # type: ignore[arg-type]


def test_a_member_is_found_through_groups_and_circles_end() -> None:
    inside = {GROUP: ["g2"], "g2": ["g1"], "g1": [ANN, "g2"]}

    assert group_in(Directory(["dc=example"], **inside)).has(ANN, "ann")
    assert not group_in(Directory(["dc=example"], **inside), nested="no").has(ANN, "ann")
    assert not group_in(Directory(["dc=example"], **inside)).has("uid=bob", "bob")


def test_active_directory_follows_the_chain_itself() -> None:
    directory = Directory([])
    group_in(directory, nested="in-chain").has(ANN, "ann")

    assert directory.asked == [in_chain(ANN)]


@pytest.mark.parametrize(
    ("contexts", "base", "searched"),
    [
        (["dc=example", "ou=groups,DC=example", ""], "", "ou=groups,DC=example"),
        ([], "", "ou=groups,dc=example"),
        (["dc=example"], "ou=elsewhere", "ou=elsewhere"),
    ],
)
def test_groups_are_looked_for_in_the_part_that_the_group_is_in(
    contexts: list[str], base: str, searched: str
) -> None:
    directory = Directory(contexts)
    group_in(directory, base=base).has(ANN, "ann")

    assert searched in directory.asked


def test_too_many_levels_or_groups_let_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = {f"g{n + 1}": [f"g{n}"] for n in range(groups.LEVELS + 2)} | {"g0": [ANN]}
    with pytest.raises(UnauthorizedLogin) as failed:
        group_in(Directory([], **deep)).has(ANN, "ann")
    assert "levels of nested groups" in failed.value.detail
    full = Directory([], **{"too many": ["x"]})
    monkeypatch.setattr(groups, "MOST_GROUPS", 2)
    many = Directory([], **{f"g{n}": [ANN] for n in range(3)})
    for directory in (full, many):
        with pytest.raises(UnauthorizedLogin) as failed:
            group_in(directory).has(ANN, "ann")
        assert "in more than 2 groups" in failed.value.detail


TEAMS = "ou=teams,dc=example"


def groups_in(directory: Directory, nested: str = "no", *words: str) -> groups.LDAPGroups:
    settings = SimpleNamespace(groups=words or ("search",), nested=nested, group_base=TEAMS)
    return groups.LDAPGroups(directory, settings)  # type: ignore[arg-type]


def test_of_the_listed_groups_those_below_the_base_count() -> None:
    directory = Directory([])
    listed = [
        f"cn=a,{TEAMS}",
        f"CN=b,ou=x,{TEAMS.upper()}",
        "cn=c,ou=other,dc=example",
        TEAMS,
        "no dn",
    ]

    assert groups_in(directory, "no", "memberOf").of(ANN, "ann", listed) == {"a", "b"}
    assert directory.asked == []  # nothing is searched


def test_groups_of_groups_are_told_if_wanted() -> None:
    inside = {f"cn=a,{TEAMS}": [ANN], f"cn=b,{TEAMS}": [f"cn=a,{TEAMS}"]}

    assert groups_in(Directory([], **inside)).of(ANN, "ann", []) == {"a"}
    assert groups_in(Directory([], **inside), "yes").of(ANN, "ann", []) == {"a", "b"}
    listed = groups_in(Directory([], **inside), "yes", "memberOf")
    assert listed.of(ANN, "ann", [f"cn=a,{TEAMS}"]) == {"a", "b"}


def test_active_directory_lists_the_groups_of_groups_itself() -> None:
    class Chain(Directory):
        def search(self, search: Any) -> list[tuple[str, Any]]:
            assert search.filter == in_chain(ANN)
            return [(f"cn=b,{TEAMS}", {})]

    assert groups_in(Chain([]), "in-chain").of(ANN, "ann", []) == {"b"}


def test_too_many_groups_or_levels_to_tell_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = {f"cn=g{n + 1}": [f"cn=g{n}"] for n in range(groups.LEVELS + 2)} | {"cn=g0": [ANN]}
    with pytest.raises(UnauthorizedLogin):
        groups_in(Directory([], **deep), "yes").of(ANN, "ann", [])
    monkeypatch.setattr(groups, "MOST_GROUPS", 2)
    many = Directory([], **{f"cn=g{n}": [ANN] for n in range(3)})
    for directory in (many, Directory([], **{"too many": ["x"]})):
        with pytest.raises(UnauthorizedLogin):
            groups_in(directory).of(ANN, "ann", [])
    with pytest.raises(UnauthorizedLogin):
        groups_in(many).of(ANN, "ann", [f"cn={n},{TEAMS}" for n in range(3)])


def test_what_stands_in_a_filter_is_escaped() -> None:
    assert members(["cn=a*b"], "x)(y") == (
        r"(|(member=cn=a\2ab)(uniqueMember=cn=a\2ab)(memberUid=x\29\28y))"
    )
