"""Parsers of a SCRAM client's messages (RFC 5802, section 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from actorcred.errors import ProtocolError
from actorcred.sasl.mechanism import from_base64

__all__ = ["NO_BINDINGS", "ClientFinal", "ClientFirst"]

NO_BINDINGS: Mapping[str, bytes] = MappingProxyType({})

_SASLNAME = r"(?:[^,=\0]|=2C|=3D)+"
_EXTENSIONS = r"((?:,[A-Za-z]=[^,\0]+)*)"
_FIRST = re.compile(
    rf"((?:n|y|p=([A-Za-z0-9.-]+)),(?:a=({_SASLNAME}))?,)"
    rf"((m=[^,]*,)?n=({_SASLNAME}),r=([!-+\--~]+){_EXTENSIONS})"
)
_FINAL = re.compile(
    rf"(c=([A-Za-z0-9+/]+={{0,2}}),r=([!-+\--~]+){_EXTENSIONS}),p=([A-Za-z0-9+/]+={{0,2}})"
)

_RESERVED = frozenset("acemnipsrv")
"""Attributes that RFC 5802 defines. As extensions they could contradict the first ones."""


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """A client's first message.

    Args:
        header: its beginning, which the proof covers.
        bare: the rest.
        kind: the kind of channel binding that the client uses; "" without.
        username: the name.
        nonce: the client's part of the nonce.
        authorize_as: the user that the client wants to act as; "" for its own.
    """

    header: str
    bare: str
    kind: str
    username: str
    nonce: str
    authorize_as: str

    @classmethod
    def parse(cls, message: str) -> ClientFirst:
        """Parse a message. Unknown extensions are ignored.

        Raises:
            ProtocolError: if it is malformed, or has a mandatory extension (m=).
        """
        match = _FIRST.fullmatch(message)
        if match is None:
            raise ProtocolError("this is no first message of SCRAM")
        header, kind, authorize_as, bare, mandatory, username, nonce, extensions = match.groups()
        _check_extensions((mandatory or "") + extensions)
        return cls(
            header, bare, kind or "", _unescaped(username), nonce, _unescaped(authorize_as or "")
        )

    def bound_by(self, bindings: Mapping[str, bytes], *, plus: bool) -> bytes:
        """Return the bytes by which the exchange is bound to its connection; b"" if it is not.

        Args:
            bindings: the bindings of the connection, kind -> bytes.
            plus: whether the mechanism is one with channel binding.

        Raises:
            ProtocolError: if the message does not fit the mechanism, names a binding that the
                connection does not have, or claims that the server has none although it does.
        """
        if plus != bool(self.kind):
            raise ProtocolError(
                "SCRAM with channel binding is the mechanism that ends in -PLUS, and no other"
            )
        if self.header.startswith("y") and bindings:
            raise ProtocolError(
                "the server supports channel binding, but the client was told that it does not"
            )
        if self.kind and self.kind not in bindings:
            raise ProtocolError(f"the channel binding is none of {', '.join(bindings)}")
        return bindings[self.kind] if self.kind else b""


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """A client's last message.

    Args:
        without_proof: the message without the proof, which covers it.
        binding: the header of the first message, and the bytes of the channel binding.
        nonce: the nonce of both sides.
        proof: the proof that the client knows the password.
    """

    without_proof: str
    binding: bytes
    nonce: str
    proof: bytes = field(repr=False)

    @classmethod
    def parse(cls, message: str) -> ClientFinal:
        """Parse a message.

        Raises:
            ProtocolError: as in `ClientFirst.parse`.
        """
        match = _FINAL.fullmatch(message)
        if match is None:
            raise ProtocolError("this is no last message of SCRAM")
        without_proof, binding, nonce, extensions, proof = match.groups()
        _check_extensions(extensions)
        return cls(without_proof, from_base64(binding), nonce, from_base64(proof))


def _check_extensions(extensions: str) -> None:
    for extension in extensions.split(","):
        if extension[:1] == "m":
            raise ProtocolError("this server knows no mandatory extension of SCRAM")
        if extension[:1] in _RESERVED and extension:
            raise ProtocolError("an attribute of SCRAM comes where it has no place")


def _unescaped(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")
