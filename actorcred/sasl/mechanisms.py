"""All mechanisms, the strongest first."""

from __future__ import annotations

from collections.abc import Iterable

from actorcred.sasl.anonymous import AnonymousClient, AnonymousServer
from actorcred.sasl.cram_md5 import CramMD5Client, CramMD5Server
from actorcred.sasl.external import ExternalClient, ExternalServer
from actorcred.sasl.mechanism import ClientMechanism, Secrets, ServerMechanism, Situation
from actorcred.sasl.oauthbearer import OAuthBearerClient, OAuthBearerServer
from actorcred.sasl.plain import PlainClient, PlainServer
from actorcred.sasl.scram import ScramClient, ScramServer

__all__ = ["SERVER_MECHANISMS", "choose", "offered"]

SERVER_MECHANISMS: dict[str, type[ServerMechanism]] = {
    mechanism.name: mechanism
    for mechanism in (ExternalServer, ScramServer, OAuthBearerServer, CramMD5Server, PlainServer, AnonymousServer)
}

CLIENT_MECHANISMS: dict[str, type[ClientMechanism]] = {
    mechanism.name: mechanism
    for mechanism in (ExternalClient, ScramClient, OAuthBearerClient, CramMD5Client, PlainClient, AnonymousClient)
}


def offered(credentials: Iterable[type], situation: Situation, *, passwords_in_clear: bool) -> list[str]:
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
        and issubclass(mechanism.credentials, kinds or ())
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
            return CLIENT_MECHANISMS[wanted](secrets)
    return None


def _usable(secrets: Secrets, private: bool) -> list[str]:
    if secrets.token is not None:
        return ["OAUTHBEARER"] if private else []
    if secrets.password is None:
        return ["ANONYMOUS"] if not secrets.username else ["EXTERNAL"]
    plain = ["PLAIN"] if private else []
    # Of these only PLAIN can say whom to act as.
    return plain if secrets.authorize_as else ["SCRAM-SHA-256", *plain, "CRAM-MD5"]
