"""Which columns are read for the facts of a user; tests/checkers/test_sql.py has databases."""

from __future__ import annotations

import pytest

from actorcred.checkers.bases.user_table import FactColumns, UserTable, make_select, make_update

pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed: pip install actorcred[sql]")


def test_groups_are_a_column_or_a_query() -> None:
    query = "SELECT name FROM roles WHERE username = :username"

    assert FactColumns(groups="roles").groups_query == ""
    assert FactColumns(groups="roles").columns == ("roles",)
    assert FactColumns(groups=query).groups_query == query
    assert FactColumns(groups=query).columns == ()


def test_each_column_is_read_once() -> None:
    facts = FactColumns(
        attributes=("mail", "username"), subject="id", expires="ends", last_login="ends"
    )
    users = UserTable(table="app.users", active="on", facts=facts)

    assert facts.columns == ("mail", "username", "id", "ends")
    text = " ".join(str(make_select(users)).split())
    assert text.startswith("SELECT app.users.username, app.users.password, app.users.")
    assert text.count("app.users.ends") == 1
    assert str(make_select(UserTable(query="SELECT 1"))) == "SELECT 1"
    update, check = make_update(users)("ann", "old", "new")
    assert "UPDATE app.users SET password=" in str(update)
    assert "SELECT app.users.password" in " ".join(str(check).split())
