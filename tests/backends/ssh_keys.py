"""SSH keys made by ssh-keygen, and signatures by them."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess

import asyncssh
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from actorcred.credentials import SSHKey

SIGNED = b"session id and request"
KINDS = {"ed25519": [], "ecdsa": ["-b", "384"], "rsa": ["-b", "2048"]}


def keygen(*words):
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("ssh-keygen is not installed; on Debian: apt-get install openssh-client")
    subprocess.run([program, "-q", *map(str, words)], check=True, capture_output=True)


def make_keys(folder):
    """Create keys of all kinds, one more, and one signed by an authority."""
    for kind, words in KINDS.items():
        keygen("-t", kind, *words, "-N", "", "-C", "ann's", "-f", folder / kind)
    keygen("-t", "ed25519", "-N", "", "-f", folder / "other")
    keygen("-t", "ed25519", "-N", "", "-f", folder / "ca")
    return folder


def private(folder, name):
    return asyncssh.read_private_key(folder / name)


def public(folder, name):
    return (folder / f"{name}.pub").read_text().strip()


def proof(key, username="ann", *, blob=None, algorithm=None, source="192.0.2.7", signed=SIGNED):
    algorithm = algorithm or (b"rsa-sha2-256" if key.algorithm == b"ssh-rsa" else key.algorithm)
    return SSHKey(
        username, blob or key.public_data, signed, key.sign(SIGNED, algorithm), source=source
    )


class Authenticator:
    """A FIDO authenticator in software, with one of OpenSSH's `sk-` keys.

    Args:
        kind: ed25519 or ecdsa.
    """

    def __init__(self, kind="ed25519"):
        self._application = b"ssh:"
        if kind == "ed25519":
            self._private = private_key = ed25519.Ed25519PrivateKey.generate()
            self.algorithm = b"sk-ssh-ed25519@openssh.com"
            parts = [private_key.public_key().public_bytes_raw()]
        else:
            self._private = private_key = ec.generate_private_key(ec.SECP256R1())
            self.algorithm = b"sk-ecdsa-sha2-nistp256@openssh.com"
            form = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            parts = [b"nistp256", private_key.public_key().public_bytes(*form)]
        self.public_data = b"".join(map(string, (self.algorithm, *parts, self._application)))
        self.public = f"{self.algorithm.decode()} {base64.b64encode(self.public_data).decode()}"

    def sign(self, data, flags=1, counter=7):
        """Return a signature with flags: touched (1), not touched (0), or verified (5)."""
        tail = bytes([flags]) + counter.to_bytes(4, "big")
        message = hashlib.sha256(self._application).digest() + tail + hashlib.sha256(data).digest()
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            proof = self._private.sign(message)
        else:
            proof = b"".join(
                map(
                    number,
                    decode_dss_signature(self._private.sign(message, ec.ECDSA(hashes.SHA256()))),
                )
            )
        return string(self.algorithm) + string(proof) + tail

    def proof(self, username="ann", *, flags=1, blob=None, source="192.0.2.7"):
        return SSHKey(
            username, blob or self.public_data, SIGNED, self.sign(SIGNED, flags), source=source
        )


def string(data):
    return len(data).to_bytes(4, "big") + data


def number(value):
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))
