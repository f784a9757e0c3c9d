"""`actorcred passwd`: manage the accounts of htpasswd files and SQLite stores."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actorcred import actors
from actorcred.auth.descriptors import parse_descriptor
from actorcred.auth.plugin import read_options
from actorcred.auth.templates import take_avatar_ids
from actorcred.checkers.bases.accounts import check_roles
from actorcred.checkers.file import FILE_OPTIONS, FileFormat
from actorcred.checkers.sqlite import SQLITE_OPTIONS, SQLiteChecker, SQLiteCheckerRef
from actorcred.cli.errors import fail
from actorcred.cli.htpasswd import HtpasswdFile
from actorcred.cli.parameters import PASSWORD_FILE, as_utf8, read_password
from actorcred.errors import AccountError, ActorcredError
from actorcred.passwords.policy import PasswordPolicy

__all__ = ["passwd"]


@dataclass(frozen=True, slots=True)
class _Listed:
    """An account as `list` shows it; `last_login` in seconds since the epoch."""

    name: str
    disabled: bool
    roles: tuple[str, ...] = ()
    last_login: float | None = None

    @property
    def state(self) -> str:
        return "disabled" if self.disabled else "active"

    @property
    def since(self) -> str | None:
        """When its user last logged in."""
        if self.last_login is None:
            return None
        return datetime.fromtimestamp(self.last_login, UTC).isoformat(timespec="seconds")


class Accounts(Protocol):
    """Operations on accounts, wherever they are stored."""

    def accounts(self) -> list[_Listed]:
        """Return all accounts."""

    def add(
        self, name: str, password: str, *, scram: bool = False, roles: tuple[str, ...] = ()
    ) -> None:
        """Add an account."""

    def set_roles(self, name: str, roles: tuple[str, ...]) -> None:
        """Set the roles of an account."""

    def change_password(self, name: str, password: str, *, scram: bool = False) -> None:
        """Set a new password."""

    def disable(self, name: str) -> None:
        """Disable an account, so that its user cannot log in."""

    def enable(self, name: str) -> None:
        """Enable an account that was disabled."""

    def delete(self, name: str) -> None:
        """Delete an account."""


class _SQLiteAccounts:
    """The accounts in a database, which is opened on first use."""

    def __init__(self, path: str, **options: Any) -> None:
        self._path, self._options = path, options
        self._checker: SQLiteCheckerRef | None = None

    def _open(self, *, make: bool = False) -> SQLiteCheckerRef:
        if self._checker is None:
            if not make and not (os.path.exists(self._path) and os.path.getsize(self._path)):
                raise AccountError(f"there is no file {self._path!r} with accounts")
            self._checker = SQLiteChecker.start(self._path, **self._options)
        return self._checker

    def accounts(self) -> list[_Listed]:
        return [
            _Listed(one.name, one.disabled, tuple(sorted(one.roles)), one.last_login)
            for one in self._open().accounts().get()
        ]

    def add(
        self, name: str, password: str, *, scram: bool = False, roles: tuple[str, ...] = ()
    ) -> None:
        check_roles(roles)  # before the store is created
        self._open(make=True).add_account(name, password, scram=scram, roles=roles).get()

    def set_roles(self, name: str, roles: tuple[str, ...]) -> None:
        self._open().set_roles(name, roles).get()

    def change_password(self, name: str, password: str, *, scram: bool = False) -> None:
        self._open().change_password(name, password, scram=scram).get()

    def disable(self, name: str) -> None:
        self._open().disable_account(name).get()

    def enable(self, name: str) -> None:
        self._open().enable_account(name).get()

    def delete(self, name: str) -> None:
        self._open().delete_account(name).get()


class _FileAccounts(HtpasswdFile):
    """The accounts in an htpasswd file, which has no roles."""

    def accounts(self) -> list[_Listed]:  # type: ignore[override]
        return [_Listed(name, disabled) for name, disabled in super().accounts()]

    def add(
        self, name: str, password: str, *, scram: bool = False, roles: tuple[str, ...] = ()
    ) -> None:
        if roles:
            self.set_roles(name, roles)
        super().add(name, password, scram=scram)

    def set_roles(self, name: str, roles: tuple[str, ...]) -> None:
        raise AccountError("an htpasswd file has no roles; use an sqlite store")


def _accounts_in(store: str) -> Accounts:
    """Return the accounts of a store.

    Raises:
        ValueError: if an option is invalid.
        AccountError: if there is no such kind of store.
    """
    descriptor = parse_descriptor(store)
    take_avatar_ids(descriptor)  # which do not change the names in the store
    path = str(descriptor.argument)
    if descriptor.kind == "file" and path:
        options = read_options(descriptor.argument, {**FILE_OPTIONS, "groups": str})
        options.pop("groups", None)  # this file is not touched
        return _FileAccounts(path, FileFormat(**options))
    if descriptor.kind == "sqlite" and path:
        return _SQLiteAccounts(path, **read_options(descriptor.argument, SQLITE_OPTIONS))
    raise AccountError(f"the store {store!r} must be file:PATH (htpasswd) or sqlite:PATH")


@contextlib.contextmanager
def _open(store: str) -> Iterator[Accounts]:
    """Yield the accounts of a store; an error ends the command with a clear message."""
    try:
        yield _accounts_in(store)
    except (ActorcredError, ValueError) as error:
        fail(error)
    finally:
        actors.shutdown()


@click.group(short_help="Add, change, disable and list accounts.")
def passwd() -> None:
    """Add, change, disable and list accounts.

    STORE is file:PATH for an htpasswd file, or sqlite:PATH for an SQLite store, with the options
    that --auth takes; both are created when the first account is added. A running server notices
    the change within seconds: sessions of disabled and deleted accounts end.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # The command must not fail if the locale lacks the characters of a name.
            stream.reconfigure(
                encoding=None if stream.isatty() else "utf-8", errors="backslashreplace"
            )


def _with_store(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("store")(click.argument("name", type=as_utf8)(function))


def _new_password(file: str | None) -> str:
    password = read_password(file, confirm=True)
    PasswordPolicy().check(password=password)
    return password


SCRAM = click.option(
    "--scram",
    is_flag=True,
    help="Also store what SCRAM needs, which does not reveal the password; sqlite only.",
)


def _words(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in value.split(",")) if word)


ROLES = "Roles, separated by commas, such as moderator,admin; sqlite only."


@passwd.command()
@_with_store
@PASSWORD_FILE
@SCRAM
@click.option("--roles", default="", metavar="ROLES", callback=_words, help=ROLES)
def add(
    store: str, name: str, password_file: str | None, scram: bool, roles: tuple[str, ...]
) -> None:
    """Add the account NAME to STORE."""
    with _open(store) as accounts:
        password = _new_password(password_file)
        accounts.add(name, password, scram=scram, roles=roles)
    click.echo(f"added {name}")


@passwd.command(name="roles")
@_with_store
@click.argument("roles", callback=_words)
def set_roles(store: str, name: str, roles: tuple[str, ...]) -> None:
    """Set the ROLES of the account NAME, in place of those that it had.

    ROLES are separated by commas, such as moderator,admin; "" takes all of them away. They are the
    groups of the user's identity, which methods can require. Only sqlite stores keep them.
    """
    with _open(store) as accounts:
        accounts.set_roles(name, roles)
    click.echo(f"{name} has {', '.join(sorted(set(roles))) or 'no roles'}")


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
    """Disable the account NAME, so that its user cannot log in."""
    with _open(store) as accounts:
        accounts.disable(name)
    click.echo(f"disabled {name}")


@passwd.command()
@_with_store
def enable(store: str, name: str) -> None:
    """Enable the account NAME, so that its user can log in again."""
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
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print an array of objects with name, disabled, roles and last_login.",
)
def list_accounts(store: str, as_json: bool) -> None:
    """List the accounts of STORE.

    On a terminal the output is a table, otherwise one line per account: its name, active or
    disabled, and its roles if it has any, separated by tabs.
    """
    with _open(store) as accounts:
        found = accounts.accounts()
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found], indent=2))
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        for one in found:
            roles = [",".join(one.roles)] if one.roles else []
            click.echo("\t".join([one.name, one.state, *roles]))


def _as_json(account: _Listed) -> dict[str, object]:
    return {
        "name": account.name,
        "disabled": account.disabled,
        "roles": list(account.roles),
        "last_login": account.since,
    }


def _print_table(found: list[_Listed]) -> None:
    table = Table("account", "state", "roles", "last login")
    for one in found:
        roles = escape(", ".join(one.roles))
        table.add_row(escape(one.name), one.state, roles, one.since or "")
    Console().print(table)
