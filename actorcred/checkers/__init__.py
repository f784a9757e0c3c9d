"""Checkers: one file per source of truth about users. Their names are here, too, and load nothing until they are used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorcred.checkers.all_of import AllOf
    from actorcred.checkers.anonymous import AnonymousChecker
    from actorcred.checkers.caching import CachingChecker
    from actorcred.checkers.certificate import CertificateChecker
    from actorcred.checkers.external import ExternalChecker
    from actorcred.checkers.file import FileChecker
    from actorcred.checkers.first_of import FirstOf
    from actorcred.checkers.htdigest import HtdigestChecker
    from actorcred.checkers.ldap import LDAPChecker
    from actorcred.checkers.listing import AllowingChecker, DenyingChecker
    from actorcred.checkers.memory import MemoryChecker
    from actorcred.checkers.otp import OTPChecker
    from actorcred.checkers.renaming import RenamingChecker
    from actorcred.checkers.sql import SQLChecker
    from actorcred.checkers.sqlite import SQLiteChecker
    from actorcred.checkers.sshkey import SSHKeyChecker
    from actorcred.checkers.throttling import ThrottlingChecker
    from actorcred.checkers.token import TokenChecker
    from actorcred.checkers.unix import UnixChecker
    from actorcred.plugins import from_string

_HOMES = {
    "AllOf": "all_of",
    "AllowingChecker": "listing",
    "AnonymousChecker": "anonymous",
    "CachingChecker": "caching",
    "CertificateChecker": "certificate",
    "DenyingChecker": "listing",
    "ExternalChecker": "external",
    "FileChecker": "file",
    "FirstOf": "first_of",
    "HtdigestChecker": "htdigest",
    "LDAPChecker": "ldap",
    "MemoryChecker": "memory",
    "OTPChecker": "otp",
    "RenamingChecker": "renaming",
    "SQLChecker": "sql",
    "SQLiteChecker": "sqlite",
    "SSHKeyChecker": "sshkey",
    "ThrottlingChecker": "throttling",
    "TokenChecker": "token",
    "UnixChecker": "unix",
}

__all__ = [
    "AllOf",
    "AllowingChecker",
    "AnonymousChecker",
    "CachingChecker",
    "CertificateChecker",
    "DenyingChecker",
    "ExternalChecker",
    "FileChecker",
    "FirstOf",
    "HtdigestChecker",
    "LDAPChecker",
    "MemoryChecker",
    "OTPChecker",
    "RenamingChecker",
    "SQLChecker",
    "SQLiteChecker",
    "SSHKeyChecker",
    "ThrottlingChecker",
    "TokenChecker",
    "UnixChecker",
    "from_string",
]


def __getattr__(name: str) -> Any:
    if name == "from_string":
        return import_module("actorcred.plugins").from_string
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
