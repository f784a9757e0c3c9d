"""SSH keys by ssh-keygen, and what is signed with them."""

from __future__ import annotations

import shutil
import subprocess

import asyncssh
import pytest

from actorcred.credentials import SSHKey

SIGNED = b"session id and request"
KINDS = {"ed25519": [], "ecdsa": ["-b", "384"], "rsa": ["-b", "2048"]}


def keygen(*words):
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("ssh-keygen is not installed; on Debian: apt-get install openssh-client")
    subprocess.run([program, "-q", *map(str, words)], check=True, capture_output=True)


def make_keys(folder):
    """Make keys of all kinds, another one, and one of an authority."""
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
    return SSHKey(username, blob or key.public_data, signed, key.sign(SIGNED, algorithm), source=source)
