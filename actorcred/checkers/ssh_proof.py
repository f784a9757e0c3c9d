"""What an SSH client presents: its key, perhaps with a certificate, and a signature."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, NamedTuple

from actorcred.checkers.authorized_keys import KEYS, SECURITY_KEYS
from actorcred.checkers.bases.facts import LONGEST_FACT, shown
from actorcred.checkers.security_key import PRESENCE, VERIFICATION, Reader, flags_of
from actorcred.credentials import SSHKey
from actorcred.errors import UnauthorizedLogin

__all__ = ["CertificateFacts", "Shown", "certificate_facts", "methods_of", "shown_by"]

LARGEST_KEY = 65_536
"""Bytes of the largest key or certificate that is accepted."""

SIGNATURES = SECURITY_KEYS.union(
    (
        b"ssh-ed25519",
        b"ecdsa-sha2-nistp256",
        b"ecdsa-sha2-nistp384",
        b"ecdsa-sha2-nistp521",
        b"rsa-sha2-256",
        b"rsa-sha2-512",
    )
)
"""Accepted signature algorithms. `ssh-rsa`, which is RSA with SHA-1 (RFC 8332), is not accepted."""

_CERTIFICATE = b"-cert-v01@openssh.com"

_FIELDS = {
    b"ssh-ed25519": 1,
    b"ssh-rsa": 2,
    b"ecdsa-sha2-nistp256": 2,
    b"ecdsa-sha2-nistp384": 2,
    b"ecdsa-sha2-nistp521": 2,
    b"sk-ssh-ed25519@openssh.com": 2,
    b"sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""Kind of a key -> the number of strings that the key has in a certificate."""

MOST_PRINCIPALS = 64
"""Principals of a certificate that are kept in the identity."""


class Shown(NamedTuple):
    """What a client has presented.

    Args:
        key: its key, which made the signature.
        certificate: the certificate of the key; None if there is none.
        flags: the flags of an authenticator's signature; None for other keys.
    """

    key: Any
    certificate: Any
    flags: int | None

    @property
    def listed(self) -> Any:
        """The key that must be in the user's file."""
        return self.key if self.certificate is None else self.certificate.signing_key


def shown_by(credentials: SSHKey) -> Shown:
    """Return what a client presents, after checking its signature.

    Raises:
        UnauthorizedLogin: if the key or the signature is not accepted.
    """
    key, certificate = _keys_of(credentials.blob)
    return Shown(key, certificate, _check_signature(key, credentials))


def _keys_of(blob: bytes) -> tuple[Any, Any]:
    """Return the key of a client, and its certificate if there is one."""
    import asyncssh

    algorithm = _first_string(blob)
    if (
        not {
            algorithm,
            algorithm.replace(_CERTIFICATE, b""),
            algorithm.replace(_CERTIFICATE, b"@openssh.com"),
        }
        & KEYS
    ):
        raise UnauthorizedLogin("a key of this kind is not accepted")
    if len(blob) > LARGEST_KEY:
        raise UnauthorizedLogin("the key is too large")
    text = algorithm + b" " + base64.b64encode(blob)
    try:
        if algorithm.endswith(_CERTIFICATE):
            certificate = asyncssh.import_certificate(text)
            return certificate.key, certificate
        return asyncssh.import_public_key(text), None
    except Exception as error:  # of many kinds: a negative number is an OverflowError
        raise UnauthorizedLogin(f"this is not a public key: {type(error).__name__}") from None


def _first_string(data: bytes) -> bytes:
    return data[4 : 4 + int.from_bytes(data[:4], "big")]


def _check_signature(key: Any, credentials: SSHKey) -> int | None:
    """Check a signature; return its flags if an authenticator made it."""
    if _first_string(credentials.signature) not in SIGNATURES or not credentials.signed:
        raise UnauthorizedLogin("a signature of this kind is not accepted")
    flags = None
    try:
        if key.algorithm in SECURITY_KEYS:
            flags = flags_of(key.public_data, credentials.signed, credentials.signature)
            right = flags is not None
        else:
            right = key.verify(credentials.signed, credentials.signature)
    except Exception as error:  # damaged data raises many kinds of errors
        raise UnauthorizedLogin(f"the signature is damaged: {type(error).__name__}") from None
    if not right:
        raise UnauthorizedLogin("wrong signature")
    return flags


def methods_of(proof: Shown) -> frozenset[str]:
    """Return how a client has proven who it is, by the names of RFC 8176.

    A key of an authenticator is "hwk". A touch is "user" (a test of the user's presence). A PIN or
    finger makes it "mfa"; the authenticator does not say which of them it was.
    """
    if proof.flags is None:
        return frozenset({"swk"})
    touched = {"user"} if proof.flags & PRESENCE else set()
    verified = {"mfa"} if proof.flags & VERIFICATION else set()
    return frozenset({"hwk", *touched, *verified})


class CertificateFacts(NamedTuple):
    """What a user's certificate says (OpenSSH's PROTOCOL.certkeys).

    Args:
        serial: its serial number; 0 if its authority gives none.
        key_id: what its authority calls it; mostly the user's name.
        principals: the names for which it is valid; `MOST_PRINCIPALS` of them.
        expires: when it ends; None for never.
    """

    serial: int
    key_id: str
    principals: tuple[str, ...]
    expires: datetime | None


def certificate_facts(blob: bytes) -> CertificateFacts:
    """Return what a certificate says, which has been verified.

    Raises:
        ValueError: if it is damaged.
    """
    parts = Reader(blob)
    kind = parts.string()
    plain = kind.removesuffix(_CERTIFICATE)
    parts.string()  # nonce
    for _ in range(_FIELDS.get(plain) or _FIELDS.get(plain + b"@openssh.com", 0)):
        parts.string()
    serial = parts.unsigned(8)
    parts.unsigned(4)  # whether it is a user's
    key_id, names = parts.string(), Reader(parts.string())
    parts.unsigned(8)  # since when
    end = parts.unsigned(8)
    principals: list[str] = []
    while names.rest and len(principals) < MOST_PRINCIPALS:
        principals.append(names.string().decode())
    return CertificateFacts(
        serial,
        shown(key_id.decode(), LONGEST_FACT),
        tuple(name for name in principals if name.isprintable() and len(name) <= LONGEST_FACT),
        _time(end),
    )


def _time(seconds: int) -> datetime | None:
    """Return a time; None if it is for ever, or after the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
