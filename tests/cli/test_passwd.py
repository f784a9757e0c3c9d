"""`actorcred passwd`: stores given as for --auth, any locale, and machine-readable lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actorcred.cli.passwd import passwd
from actorcred.passwords.hashing import verify_password
from tests.cli.test_command import PASSWORD, run
from tests.helpers import open_sqlite

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
"""The environment of a cron job, as old versions of Python see it."""


def add(store: str, name: str, *, password: str = PASSWORD, **environment: str) -> None:
    done = run("passwd", "add", store, name, "--password-file", "-", stdin=password, **environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_a_locale_without_the_letters_of_a_name_changes_nothing(kind: str, tmp_path: Path) -> None:
    store = f"{kind}:{tmp_path}/j\u00f6rgs"
    add(store, "j\u00f6rg", password="sn\u00f6 und eis im mai", **ASCII)
    add(store, "bj\u00f6rn")
    for environment in ({}, ASCII):
        listed = run("passwd", "list", store, **environment)
        assert sorted(listed.stdout.splitlines()) == ["bj\u00f6rn\tactive", "j\u00f6rg\tactive"]
    listed = run("passwd", "list", store, "--json", **ASCII)
    assert {account["name"] for account in json.loads(listed.stdout)} == {"j\u00f6rg", "bj\u00f6rn"}
    assert run("passwd", "delete", store, "jo\u0308rg", **ASCII).returncode == 0
    assert [
        path.name for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))
    ] == ["j\u00f6rgs"]


@pytest.mark.parametrize(
    "words", [("list",), ("delete", "ann"), ("disable", "ann"), ("enable", "ann")]
)
@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_a_store_that_is_not_there_is_an_error_and_is_not_made(
    kind: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    done = run("passwd", words[0], f"{kind}:{tmp_path}/none", *words[1:])
    assert (done.returncode, done.stdout) == (1, "")
    assert f"there is no file '{tmp_path}/none'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_made_with_its_first_account_and_not_before(tmp_path: Path) -> None:
    for kind in ("file", "sqlite"):
        refused = run(
            "passwd", "add", f"{kind}:{tmp_path}/none", "ann", "--password-file", "-", stdin="short"
        )
        assert (refused.returncode, list(tmp_path.iterdir())) == (1, [])


def test_a_store_has_the_options_of_auth(tmp_path: Path) -> None:
    store = f"sqlite[scram=yes,rounds=5]:{tmp_path}/a.db"
    add(store, "ann")
    with open_sqlite(tmp_path / "a.db") as database:
        ((stored, scram),) = database.execute("SELECT hash, scram FROM account")
    database.close()
    assert "$05$" in stored
    assert scram.startswith("SCRAM-SHA-256$")
    add(f"file[delimiter=|]:{tmp_path}/players", "b:b")
    assert (tmp_path / "players").read_text().startswith("b:b|$2b$")
    for wrong in (
        f"sqlite[scram=perhaps]:{tmp_path}/a.db",
        f"file[scram=yes]:{tmp_path}/x",
        f"sqlite[scram:{tmp_path}/a.db",
    ):
        done = run("passwd", "list", wrong)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "scram" in done.stderr


def test_a_list_for_programs_is_whole_and_plain(tmp_path: Path) -> None:
    store, name = f"sqlite[rounds=4]:{tmp_path}/a.db", "x" * 300
    add(store, name)
    add(store, "ann [bold]smith")
    assert run("passwd", "disable", store, name).returncode == 0
    assert (
        run("passwd", "list", store, COLUMNS="40").stdout
        == f"ann [bold]smith\tactive\n{name}\tdisabled\n"
    )
    assert json.loads(run("passwd", "list", store, "--json").stdout) == [
        {"name": "ann [bold]smith", "disabled": False, "roles": [], "last_login": None},
        {"name": name, "disabled": True, "roles": [], "last_login": None},
    ]


def test_a_password_file_is_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    secret, store = tmp_path / "secret", f"sqlite[rounds=4]:{tmp_path}/a.db"
    secret.write_text("sn\u00f6 und eis\r\nnext", "utf-8-sig", newline="")
    assert (
        run("passwd", "add", store, "ann", "--password-file", str(secret), **ASCII).returncode == 0
    )
    with open_sqlite(tmp_path / "a.db") as database:
        ((stored,),) = database.execute("SELECT hash FROM account")
    database.close()
    assert verify_password(password="sn\u00f6 und eis", hash=stored)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs the command in this process."""
    monkeypatch.setattr("actorcred.passwords.hashing.DEFAULT_ROUNDS", 4)

    def run_here(*words: str, typed: str = PASSWORD, terminal: bool = False) -> Result:
        with monkeypatch.context() as patched:
            if terminal:
                patched.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True)
            return CliRunner().invoke(passwd, words, input=typed)

    return run_here


@pytest.mark.parametrize("store", ["file:{}/players", "sqlite[rounds=4]:{}/players"])
def test_an_account_is_kept_from_its_beginning_to_its_end(
    here: Callable[..., Result], store: str, tmp_path: Path
) -> None:
    place = store.format(tmp_path)
    for words, said in (
        (("add", "ann", "--password-file", "-"), "added ann\n"),
        (("change", "ann", "--password-file", "-"), "changed ann\n"),
        (("disable", "ann"), "disabled ann\n"),
        (("enable", "ann"), "enabled ann\n"),
    ):
        assert here(words[0], place, *words[1:]).output == said
    assert here("list", place).output == "ann\tactive\n"
    assert here("delete", place, "ann").output == "deleted ann\n"
    assert here("list", place, "--json").output == "[]\n"


def test_a_terminal_is_shown_a_table(here: Callable[..., Result], tmp_path: Path) -> None:
    place = f"sqlite[rounds=4]:{tmp_path}/players"
    here("add", place, "ann [b]", "--password-file", "-")
    here("disable", place, "ann [b]")
    shown = here("list", place, terminal=True).output

    assert "account" in shown
    assert "ann [b]" in shown
    assert "disabled" in shown


@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("ldap:server", "must be file:PATH (htpasswd) or sqlite:PATH"),
        ("file:", "must be file:PATH"),
        ("sqlite:{}/none", "there is no file"),
        ("sqlite[rounds=many]:{}/none", "rounds"),
    ],
)
def test_a_store_that_cannot_be_used_is_said_without_a_traceback(
    here: Callable[..., Result], store: str, why: str, tmp_path: Path
) -> None:
    done = here("list", store.format(tmp_path))

    assert done.exit_code == 1
    assert why in done.output
    assert list(tmp_path.iterdir()) == []


def test_roles_are_given_with_an_account_set_and_listed(
    here: Callable[..., Result], tmp_path: Path
) -> None:
    place = f"sqlite[rounds=4]:{tmp_path}/players"
    here("add", place, "ann", "--password-file", "-", "--roles", "moderator, admin")
    here("add", place, "bob", "--password-file", "-")

    assert here("list", place).output == "ann\tactive\tadmin,moderator\nbob\tactive\n"
    assert here("roles", place, "bob", "moderator").output == "bob has moderator\n"
    assert here("roles", place, "ann", "").output == "ann has no roles\n"
    assert "moderator" in here("list", place, terminal=True).output
    listed = json.loads(here("list", place, "--json").output)
    assert [(one["roles"], one["last_login"]) for one in listed] == [
        ([], None),
        (["moderator"], None),
    ]
    with open_sqlite(tmp_path / "players") as database:
        database.execute("UPDATE account SET last_login = 0 WHERE name = 'bob'")
    database.close()
    assert json.loads(here("list", place, "--json").output)[1]["last_login"] == (
        "1970-01-01T00:00:00+00:00"
    )


def test_a_template_of_avatar_ids_does_not_change_the_names_in_a_store(
    here: Callable[..., Result], tmp_path: Path
) -> None:
    place = f"sqlite[rounds=4,as=corp/{{name}}]:{tmp_path}/players"
    here("add", place, "ann", "--password-file", "-")

    assert here("list", place).output == "ann\tactive\n"
    wrong = here("list", f"sqlite[as=corp/{{nme}}]:{tmp_path}/players")
    assert (wrong.exit_code, "unknown field {nme}" in wrong.output) == (1, True)


def test_roles_that_cannot_be_kept_are_refused_before_anything_is_made(
    here: Callable[..., Result], tmp_path: Path
) -> None:
    for store, role, said in (
        (f"file:{tmp_path}/players", "admin", "an htpasswd file has no roles"),
        (f"sqlite[rounds=4]:{tmp_path}/players", "a b", "a role is a word without blanks"),
    ):
        done = here("add", store, "ann", "--password-file", "-", "--roles", role)
        assert (done.exit_code, said in done.output) == (1, True)
        assert list(tmp_path.iterdir()) == []
    place = f"sqlite[rounds=4]:{tmp_path}/players"
    here("add", place, "ann", "--password-file", "-")
    assert "no such account" in here("roles", place, "bob", "admin").output
