"""What an identity tells of a row; tests/checkers/test_sql.py has databases."""

from __future__ import annotations

from collections import namedtuple
from datetime import UTC, datetime
from typing import Any

import pytest

from actorcred import CheckerUnavailable, UnauthorizedLogin
from actorcred.checkers.bases.user_table import FactColumns, UserTable
from actorcred.checkers.sql_facts import SQLFacts


def facts_of(active: str = "", **columns: Any) -> SQLFacts:
    users = UserTable(active=active, facts=FactColumns(**columns))
    return SQLFacts(users, lambda stored: [])


def row(**columns: Any) -> Any:
    return namedtuple("Row", columns)(**columns)  # as SQLAlchemy's rows are


def test_facts_are_told_apart_from_name_hash_and_state() -> None:
    facts = facts_of(attributes=("mail", "name"))

    assert facts.split(row(name="ann", hash="x", mail="a@x")) == (
        ["ann", "x"],
        {"name": "ann", "mail": "a@x"},
    )
    assert facts.split(row(name="ann", hash="x", Mail="a@x", enabled=0))[0] == ["ann", "x", 0]
    named = facts_of("mail", attributes=("mail",))
    assert named.split(row(name="ann", hash="x", mail=0)) == (["ann", "x", 0], {"mail": 0})


def test_a_column_that_the_query_lacks_is_nobodys_fault() -> None:
    with pytest.raises(CheckerUnavailable) as failed:
        facts_of("enabled", attributes=("mail", "name")).split(row(name="ann", hash="x"))
    assert failed.value.detail == "the query does not return the column enabled, mail"


def test_an_identity_has_what_the_columns_say() -> None:
    facts = facts_of(
        attributes=("mail", "level"), groups="roles", issuer="shop", subject="id",
        expires="ends", last_login="seen",
    )  # fmt: skip
    made = facts.identity(
        "ann", "ann",
        {"mail": "a@x", "level": None, "roles": "a b", "id": 7, "ends": 4e9, "seen": 0},
    )  # fmt: skip

    assert dict(made.attributes) == {"mail": "a@x"}
    assert (made.groups, made.issuer, made.subject) == ({"a", "b"}, "shop", "7")
    assert (made.expires, made.last_login) == (
        datetime.fromtimestamp(4e9, UTC),
        datetime.fromtimestamp(0, UTC),
    )


def test_groups_of_a_query_are_one_a_row() -> None:
    query = "SELECT role FROM roles WHERE username = :username"

    users = UserTable(facts=FactColumns(groups=query))
    made = SQLFacts(users, lambda stored: ["Game Masters", stored]).identity("ann", "Ann", {})
    assert made.groups == {"Game Masters", "Ann"}
    assert SQLFacts(users, lambda stored: []).identity("ann", "Ann", {}).groups == frozenset()


def test_a_fact_that_cannot_be_used_is_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    facts = facts_of(attributes=("photo",), groups="roles", last_login="seen")
    for _ in range(2):
        made = facts.identity("ann", "ann", {"photo": b"\0", "roles": 7, "seen": "long ago"})

    assert (dict(made.attributes), made.groups, made.last_login) == ({}, frozenset(), None)
    assert len(caplog.messages) == 3
    assert "A fact of 'ann' is left out: the column photo: it is binary" in caplog.messages


def test_an_account_that_has_expired_or_may_have_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for value in (1, "soon"):
        with pytest.raises(UnauthorizedLogin):
            facts_of(expires="ends").identity("ann", "ann", {"ends": value})
    assert facts_of(expires="ends").identity("ann", "ann", {"ends": None}).expires is None
    assert "'ann' cannot log in: the column ends: it is no time" in caplog.text
