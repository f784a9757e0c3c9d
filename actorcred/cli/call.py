"""`actorcred call`: log in, call a method, print what it returns."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Iterator
from typing import Any

import click

from actorcred.audit import printable
from actorcred.cli.errors import ExitCode, fail
from actorcred.cli.parameters import ADDRESS, PASSWORD_FILE, Seconds, read_password
from actorcred.errors import (
    CallError,
    CheckerUnavailable,
    ConnectionLost,
    LoginFailed,
    ProtocolError,
)
from actorcred.eventloops import loop_factory
from actorcred.rpc.client.client import ClientOptions, connect
from actorcred.rpc.protocol.addresses import Address

__all__ = ["call"]


@click.command(short_help="Log in, call a method and print its result as JSON.")
@click.argument("address", type=ADDRESS, metavar="URL")
@click.argument("method")
@click.argument("arguments", nargs=-1, metavar="[ARGS]...")
@click.option("-u", "--username", default="", help="The user.  [default: an anonymous guest]")
@PASSWORD_FILE
@click.option(
    "--interface", help="The avatar's interface to use.  [default: the server's first interface]"
)
@click.option(
    "--mechanism", help="The SASL mechanism.  [default: the strongest that both sides have]"
)
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False),
    help="A file with certificates to trust, for tls: and wss:.",
)
@click.option(
    "--timeout",
    type=Seconds(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds for connecting, and for the call.",
)
@click.option(
    "--login-timeout",
    type=Seconds(0, min_open=True),
    default=ClientOptions().login_timeout,
    show_default=True,
    help="Seconds for the login, which is queued on a busy server.",
)
@click.option(
    "--listen-for",
    type=Seconds(0),
    default=0.0,
    metavar="SECONDS",
    help="Print notifications for this long after the call.",
)
def call(
    address: Address,
    method: str,
    arguments: tuple[str, ...],
    username: str,
    password_file: str | None,
    interface: str | None,
    mechanism: str | None,
    ca: str | None,
    timeout: float,
    login_timeout: float,
    listen_for: float,
) -> None:
    """Log in at URL, call METHOD of the avatar with ARGS, and print its result as JSON.

    Each of ARGS is read as JSON, or as a string if it is not JSON: 1.5, true, '{"x": 1}', hello.
    The password is prompted for, or read from --password-file or the variable ACTORCRED_PASSWORD;
    it is never an argument, since all users of the machine can see those.

    Exit codes: 1 the method failed, 2 wrong usage, 3 login refused, denied or unavailable, 4 no
    connection.
    """
    password = read_password(password_file) if username else None
    options = ClientOptions(
        interface=interface,
        mechanism=mechanism,
        timeout=timeout,
        login_timeout=login_timeout,
        on_slow_login=lambda: click.echo(
            "actorcred: the server is busy, still waiting for its answer to the login", err=True
        ),
        client=("actorcred call", ""),
        context=ssl.create_default_context(cafile=ca) if address.encrypted else None,
    )

    async def run() -> Any:
        client = await connect(
            address,
            username,
            password,
            handler=_print_notification if listen_for else None,
            options=options,
        )
        async with client:
            async with asyncio.timeout(timeout):
                _print(await client.call(method, *[_value(text) for text in arguments]))
            with contextlib.suppress(TimeoutError):
                raise await asyncio.wait_for(client.wait_closed(), listen_for)

    with _telling(timeout), asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())


@contextlib.contextmanager
def _telling(timeout: float) -> Iterator[None]:
    """On an error, print it and exit with a matching code."""
    try:
        yield
    except LoginFailed as error:
        # Errors found on this side have a detail; those sent by the server only have a message.
        own = type(error) in {LoginFailed, CheckerUnavailable} and error.detail
        fail(f"{error}: {error.detail}" if own else error, ExitCode.REFUSED)
    except CallError as error:
        fail(f"{error} ({error.code})")
    except (ConnectionLost, ProtocolError) as error:
        fail(error, ExitCode.NO_CONNECTION)
    except TimeoutError:
        fail(f"the method has not answered within {timeout:g} s", ExitCode.NO_CONNECTION)
    except ValueError as error:
        fail(error, ExitCode.USAGE)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=_as_text))


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _print_notification(name: str, *args: Any) -> None:
    click.echo(
        f"{printable(name)} {json.dumps(args, ensure_ascii=False, default=_as_text)}", err=True
    )
