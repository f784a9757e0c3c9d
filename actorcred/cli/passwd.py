"""`actorcred passwd`: the accounts of htpasswd files and of SQLite stores."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actorcred import actors
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.cli.errors import fail
from actorcred.cli.htpasswd import HtpasswdFile
from actorcred.cli.parameters import PASSWORD_FILE, read_password
from actorcred.errors import AccountError, ActorcredError
from actorcred.passwords import PasswordPolicy

__all__ = ["passwd"]


class Accounts(Protocol):
    """What can be done with accounts, wherever they are."""

    def accounts(self) -> list[tuple[str, bool]]:
        """Return names and whether they are disabled."""

    def add(self, name: str, password: str, *, scram: bool = False) -> None:
        """Add an account."""

    def change_password(self, name: str, password: str, *, scram: bool = False) -> None:
        """Set a new password."""

    def disable(self, name: str) -> None:
        """Let nobody log in to an account."""

    def enable(self, name: str) -> None:
        """Let the user of an account log in again."""

    def delete(self, name: str) -> None:
        """Delete an account."""


class _SQLiteAccounts:
    def __init__(self, path: str) -> None:
        self._checker = SQLiteChecker.start(path)

    def accounts(self) -> list[tuple[str, bool]]:
        return [(account.name, account.disabled) for account in self._checker.accounts().get()]

    def add(self, name: str, password: str, *, scram: bool = False) -> None:
        self._checker.add_account(name, password, scram=scram).get()

    def change_password(self, name: str, password: str, *, scram: bool = False) -> None:
        self._checker.change_password(name, password, scram=scram).get()

    def disable(self, name: str) -> None:
        self._checker.disable_account(name).get()

    def enable(self, name: str) -> None:
        self._checker.enable_account(name).get()

    def delete(self, name: str) -> None:
        self._checker.delete_account(name).get()


@contextlib.contextmanager
def _open(store: str) -> Iterator[Accounts]:
    """Give out the accounts of a store, and end the command clearly if something cannot be done."""
    kind, _, path = store.partition(":")
    try:
        if not path or kind not in {"file", "sqlite"}:
            raise AccountError(f"the store {store!r} must be file:PATH (htpasswd) or sqlite:PATH")
        yield HtpasswdFile(path) if kind == "file" else _SQLiteAccounts(path)
    except (ActorcredError, ValueError) as error:
        fail(error)
    finally:
        actors.shutdown()


@click.group(short_help="Add, change, disable and list accounts.")
def passwd() -> None:
    """Add, change, disable and list accounts.

    STORE is file:PATH for an htpasswd file, or sqlite:PATH for an SQLite store; both are made when the first account is
    added. A server that runs sees the change within seconds: live sessions of disabled and deleted accounts end.
    """


def _with_store(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("store")(click.argument("name")(function))


def _new_password(file: str | None) -> str:
    password = read_password(file, confirm=True)
    PasswordPolicy().check(password=password)
    return password


SCRAM = click.option("--scram", is_flag=True, help="Keep what SCRAM needs, too: proofs that do not show the password; sqlite only.")


@passwd.command()
@_with_store
@PASSWORD_FILE
@SCRAM
def add(store: str, name: str, password_file: str | None, scram: bool) -> None:
    """Add the account NAME to STORE."""
    with _open(store) as accounts:
        accounts.add(name, _new_password(password_file), scram=scram)
    click.echo(f"added {name}")


@passwd.command()
@_with_store
@PASSWORD_FILE
@SCRAM
def change(store: str, name: str, password_file: str | None, scram: bool) -> None:
    """Set a new password for the account NAME."""
    with _open(store) as accounts:
        accounts.change_password(name, _new_password(password_file), scram=scram)
    click.echo(f"changed {name}")


@passwd.command()
@_with_store
def disable(store: str, name: str) -> None:
    """Let nobody log in to the account NAME."""
    with _open(store) as accounts:
        accounts.disable(name)
    click.echo(f"disabled {name}")


@passwd.command()
@_with_store
def enable(store: str, name: str) -> None:
    """Let the user of the account NAME log in again."""
    with _open(store) as accounts:
        accounts.enable(name)
    click.echo(f"enabled {name}")


@passwd.command()
@_with_store
def delete(store: str, name: str) -> None:
    """Delete the account NAME."""
    with _open(store) as accounts:
        accounts.delete(name)
    click.echo(f"deleted {name}")


@passwd.command(name="list")
@click.argument("store")
def list_accounts(store: str) -> None:
    """List the accounts of STORE."""
    with _open(store) as accounts:
        found = accounts.accounts()
    table = Table("account", "state")
    for name, disabled in found:
        table.add_row(escape(name), "disabled" if disabled else "active")
    Console().print(table)
