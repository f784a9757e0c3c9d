"""Signatures of FIDO authenticators, as made with OpenSSH's `sk-` keys (its PROTOCOL.u2f)."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["PRESENCE", "VERIFICATION", "Reader", "flags_of"]

PRESENCE, VERIFICATION = 0x01, 0x04
"""Flags of a signature: the authenticator was touched; it verified its user by PIN or finger."""


def flags_of(blob: bytes, signed: bytes, signature: bytes) -> int | None:
    """Return the flags of a signature.

    Args:
        blob: the public key.
        signed: what the client signed. Twisted's Conch passes what the authenticator signed, which
            contains a digest of it.
        signature: the signature with its kind, flags and counter.

    Returns:
        The flags, or None if the signature is wrong.

    Raises:
        ValueError: if the key or the signature is damaged.
    """
    from cryptography.exceptions import InvalidSignature

    key = _read_key(blob)
    parts = Reader(signature)
    kind, proof, flags, counter = parts.string(), parts.string(), parts.take(1), parts.take(4)
    parts.end()
    if kind != key.kind:
        raise ValueError("the signature and the key are of different kinds")
    head = hashlib.sha256(key.application).digest() + flags + counter
    is_hashed = signed.startswith(head) and len(signed) == len(head) + hashlib.sha256().digest_size
    try:
        _verify(key, proof, signed if is_hashed else head + hashlib.sha256(signed).digest())
    except InvalidSignature:
        return None
    return flags[0]


class _Key(NamedTuple):
    kind: bytes
    point: bytes
    application: bytes


def _read_key(blob: bytes) -> _Key:
    parts = Reader(blob)
    kind = parts.string()
    if kind.startswith(b"sk-ecdsa-") and parts.string() != b"nistp256":
        raise ValueError("the key is on another curve")
    key = _Key(kind, parts.string(), parts.string())
    parts.end()
    return key


def _verify(key: _Key, proof: bytes, message: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    if key.kind == b"sk-ssh-ed25519@openssh.com":
        ed25519.Ed25519PublicKey.from_public_bytes(key.point).verify(proof, message)
        return
    numbers = Reader(proof)
    both = encode_dss_signature(numbers.number(), numbers.number())
    numbers.end()
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.point)
    public.verify(both, message, ec.ECDSA(hashes.SHA256()))


class Reader:
    """Reads the fields of an SSH message (RFC 4251, section 5).

    Args:
        data: the message. Its fields raise ValueError if it is damaged.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if len(self._data) < count:
            raise ValueError("it is truncated")
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def string(self) -> bytes:
        """Return the next string."""
        return self.take(self.unsigned(4))

    def number(self) -> int:
        """Return the next number of any length (mpint)."""
        return int.from_bytes(self.string(), "big", signed=True)

    @property
    def rest(self) -> bytes:
        """What has not been read yet."""
        return self._data

    def unsigned(self, size: int) -> int:
        """Return the next number of a fixed size in bytes (uint32, uint64)."""
        return int.from_bytes(self.take(size), "big")

    def end(self) -> None:
        """Check that nothing follows."""
        if self._data:
            raise ValueError("it has trailing data")
