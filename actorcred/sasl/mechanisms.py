"""All mechanisms, in order of preference, and the choice among them."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import replace

from actorcred.errors import ProtocolError
from actorcred.identity import ClientInfo
from actorcred.sasl.anonymous import AnonymousClient, AnonymousServer
from actorcred.sasl.cram_md5 import CramMD5Client, CramMD5Server
from actorcred.sasl.external import ExternalClient, ExternalServer
from actorcred.sasl.mechanism import ClientMechanism, Secrets, ServerMechanism
from actorcred.sasl.oauthbearer import OAuthBearerClient, OAuthBearerServer
from actorcred.sasl.plain import PlainClient, PlainServer
from actorcred.sasl.scram import SCRAM_CLIENTS, SCRAM_SERVERS

__all__ = [
    "CLIENT_MECHANISMS",
    "LEGACY",
    "SERVER_MECHANISMS",
    "check_legacy",
    "choose",
    "find",
    "named",
    "offered",
]

_PLUS = "-PLUS"

_SERVERS: tuple[type[ServerMechanism], ...] = (
    ExternalServer,
    *SCRAM_SERVERS,
    OAuthBearerServer,
    CramMD5Server,
    PlainServer,
    AnonymousServer,
)
_CLIENTS: tuple[type[ClientMechanism], ...] = (
    ExternalClient,
    *SCRAM_CLIENTS,
    OAuthBearerClient,
    CramMD5Client,
    PlainClient,
    AnonymousClient,
)

SERVER_MECHANISMS = {mechanism.name: mechanism for mechanism in _SERVERS}

CLIENT_MECHANISMS = {mechanism.name: mechanism for mechanism in _CLIENTS}

_BETTER = frozenset(mechanism.name for mechanism in SCRAM_SERVERS if not mechanism.legacy)


LEGACY = tuple(
    name
    for name, mechanism in SERVER_MECHANISMS.items()
    if mechanism.legacy and not name.endswith(_PLUS)
)
"""Mechanisms for old clients, which are off unless they are asked for by name. A name stands for
its form with channel binding, too."""


def check_legacy(names: Collection[str] | None) -> None:
    """Check the value of an option `legacy_mechanisms`.

    Raises:
        ValueError: if it names anything but legacy mechanisms.
    """
    given: object = names
    if isinstance(given, str) or not isinstance(given, Collection | None):
        raise ValueError(
            f'legacy_mechanisms must be a tuple such as ("SCRAM-SHA-1",), not {given!r}'
        )
    for name in names or ():
        if name not in LEGACY:
            known = " and ".join(LEGACY)
            raise ValueError(
                f"legacy_mechanisms: {name!r} is not a legacy mechanism; those are {known}"
            )


def find(
    name: str, client: ClientInfo, *, passwords_in_clear: bool, legacy: Collection[str] = ()
) -> type[ServerMechanism] | None:
    """Return the mechanism of a name; None if it is unknown, or must not be used on a connection.

    Args:
        name: the name that a client sent.
        client: where the client comes from.
        passwords_in_clear: whether passwords and tokens are accepted on any connection.
        legacy: the legacy mechanisms that are allowed.
    """
    mechanism = SERVER_MECHANISMS.get(name)
    if (
        mechanism is None
        or (mechanism.legacy and name.removesuffix(_PLUS) not in legacy)
        or (mechanism.exposes_password and not (client.private or passwords_in_clear))
        or not mechanism.possible(client)
    ):
        return None
    return mechanism


def offered(
    credentials: Iterable[type],
    client: ClientInfo,
    *,
    passwords_in_clear: bool,
    legacy: Collection[str] | None = (),
) -> list[str]:
    """Return the names of the mechanisms that a server offers, in order of preference.

    Args:
        credentials: the kinds of credentials that some checker accepts.
        client: where the client comes from.
        passwords_in_clear: whether passwords and tokens are accepted on any connection.
        legacy: the legacy mechanisms that are allowed. None allows them if the checkers support
            no better SCRAM.
    """
    kinds = tuple(credentials)
    names = [
        name
        for name, mechanism in SERVER_MECHANISMS.items()
        if mechanism.served_by(kinds)
        and find(
            name,
            client,
            passwords_in_clear=passwords_in_clear,
            legacy=LEGACY if legacy is None else legacy,
        )
    ]
    if legacy is None and any(name in _BETTER for name in names):
        return [name for name in names if not SERVER_MECHANISMS[name].legacy]
    return names


def named(name: str, secrets: Secrets) -> ClientMechanism:
    """Return a client's mechanism by its name.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in CLIENT_MECHANISMS:
        raise ValueError(
            f"the mechanism {name!r} is unknown; use one of {', '.join(CLIENT_MECHANISMS)}"
        )
    # Without channel binding. Otherwise the client would claim that the server does not support it,
    # and a server that does would take that for an attack.
    fits = secrets.binding is None or name.endswith(_PLUS)
    return CLIENT_MECHANISMS[name](secrets if fits else replace(secrets, binding=None))


def choose(offers: Iterable[str], secrets: Secrets, *, private: bool) -> ClientMechanism | None:
    """Return the strongest mechanism that a server offers and the client can use, or None.

    Legacy mechanisms are never chosen: a server that offers nothing better may be an attacker.

    Args:
        offers: the names that the server offers.
        secrets: what the client logs in with.
        private: whether no third party can read along, so that a password may be sent.
    """
    names = set(offers)
    for wanted in _usable(secrets, private):
        if wanted in names:
            # It may be unable to carry this name or password; perhaps another one can.
            with contextlib.suppress(ProtocolError):
                return CLIENT_MECHANISMS[wanted](secrets)
    return None


def _usable(secrets: Secrets, private: bool) -> list[str]:
    if secrets.token is not None:
        return ["OAUTHBEARER"] if private else []
    if secrets.password is None:
        return ["ANONYMOUS"] if not secrets.username else ["EXTERNAL"]
    plain = ["PLAIN"] if private else []
    # Of these only PLAIN can say whom to act as.
    if secrets.authorize_as:
        return plain
    scram = [
        kind.name
        for kind in SCRAM_CLIENTS
        if not kind.legacy and (secrets.binding is not None or not kind.name.endswith(_PLUS))
    ]
    return [*scram, *plain]
