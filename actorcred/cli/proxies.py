"""The options of `actorcred serve` about trusted proxies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from actorcred.cli.parameters import NETWORK
from actorcred.fronts.trusted import ForwardingHeader, TrustedProxy

__all__ = ["proxy_options"]

_OPTIONS: Final = (
    click.option(
        "--identity-header",
        default="",
        help="The header in which a trusted proxy says who the client is; for --auth external.",
    ),
    click.option(
        "--trusted-proxy",
        "trusted_proxies",
        multiple=True,
        type=NETWORK,
        help="The address or network of a proxy that reports where clients come from, or unix. "
        "May be repeated.",
    ),
    click.option(
        "--forwarding-header",
        type=click.Choice([str(kind) for kind in ForwardingHeader]),
        default=str(ForwardingHeader.X_FORWARDED),
        show_default=True,
        help="How HTTP proxies report the address of a client: X-Forwarded-For and "
        "X-Forwarded-Proto, or Forwarded (RFC 7239).",
    ),
)


def proxy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets a `TrustedProxy`, or None, as `proxy`."""

    @functools.wraps(function)
    def command(
        *,
        trusted_proxies: tuple[str, ...],
        identity_header: str,
        forwarding_header: str,
        **others: Any,
    ) -> Any:
        proxy = _proxy(trusted_proxies, identity_header, forwarding_header)
        return function(proxy=proxy, **others)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _proxy(networks: tuple[str, ...], identity: str, forwarding: str) -> TrustedProxy | None:
    if identity and not networks:
        raise click.UsageError("--identity-header needs --trusted-proxy")
    if not networks:
        return None
    try:
        return TrustedProxy(networks, identity, ForwardingHeader(forwarding))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
