"""All mechanisms, the strongest first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from actorcred.errors import ProtocolError
from actorcred.sasl.anonymous import AnonymousClient, AnonymousServer
from actorcred.sasl.cram_md5 import CramMD5Client, CramMD5Server
from actorcred.sasl.external import ExternalClient, ExternalServer
from actorcred.sasl.mechanism import ClientMechanism, Secrets, ServerMechanism, Situation
from actorcred.sasl.oauthbearer import OAuthBearerClient, OAuthBearerServer
from actorcred.sasl.plain import PlainClient, PlainServer
from actorcred.sasl.scram import SCRAM_CLIENTS, SCRAM_SERVERS

__all__ = ["SERVER_MECHANISMS", "choose", "offered"]

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


def offered(
    credentials: Iterable[type], situation: Situation, *, passwords_in_clear: bool
) -> list[str]:
    """Return the names of the mechanisms that a server offers.

    Args:
        credentials: the kinds of credentials that some checker takes.
        situation: of the connection.
        passwords_in_clear: whether to offer on any connection those that somebody who reads along could steal from.
    """
    kinds = tuple(credentials)
    safe = situation.private or passwords_in_clear
    return [
        name
        for name, mechanism in SERVER_MECHANISMS.items()
        if mechanism.possible(situation)
        and (safe or not mechanism.exposes_password)
        and mechanism.served_by(kinds)
    ]


def choose(offers: Iterable[str], secrets: Secrets, *, private: bool) -> ClientMechanism | None:
    """Return the strongest mechanism that a server offers and the client can use, or None.

    Args:
        offers: what the server offers.
        secrets: what the client has to log in with.
        private: whether nobody can read along, so that a password may be sent.
    """
    names = set(offers)
    for wanted in _usable(secrets, private):
        if wanted in names:
            with contextlib.suppress(
                ProtocolError
            ):  # it cannot carry this name or password; perhaps another one can
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
        if secrets.binding is not None or not kind.name.endswith("-PLUS")
    ]
    return [*scram, *plain, "CRAM-MD5"]
