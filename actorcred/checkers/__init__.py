"""Checkers, one module for each source of users. The names here are imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorcred.checkers.anonymous import AnonymousChecker
    from actorcred.checkers.certificate import CertificateChecker
    from actorcred.checkers.external import ExternalChecker
    from actorcred.checkers.file import FileChecker
    from actorcred.checkers.htdigest import HtdigestChecker
    from actorcred.checkers.ldap.checker import LDAPChecker
    from actorcred.checkers.memory import MemoryChecker
    from actorcred.checkers.otp import OTPChecker
    from actorcred.checkers.sql import SQLChecker
    from actorcred.checkers.sqlite import SQLiteChecker
    from actorcred.checkers.sshkey import SSHKeyChecker
    from actorcred.checkers.token import TokenChecker
    from actorcred.checkers.unix import UnixChecker
    from actorcred.checkers.wrappers.all_of import AllOf
    from actorcred.checkers.wrappers.caching import CachingChecker
    from actorcred.checkers.wrappers.first_of import FirstOf
    from actorcred.checkers.wrappers.listing import AllowingChecker, DenyingChecker
    from actorcred.checkers.wrappers.renaming import RenamingChecker
    from actorcred.checkers.wrappers.throttling import ThrottlingChecker

_HOMES = {
    "AllOf": "wrappers.all_of",
    "AllowingChecker": "wrappers.listing",
    "AnonymousChecker": "anonymous",
    "CachingChecker": "wrappers.caching",
    "CertificateChecker": "certificate",
    "DenyingChecker": "wrappers.listing",
    "ExternalChecker": "external",
    "FileChecker": "file",
    "FirstOf": "wrappers.first_of",
    "HtdigestChecker": "htdigest",
    "LDAPChecker": "ldap.checker",
    "MemoryChecker": "memory",
    "OTPChecker": "otp",
    "RenamingChecker": "wrappers.renaming",
    "SQLChecker": "sql",
    "SQLiteChecker": "sqlite",
    "SSHKeyChecker": "sshkey",
    "ThrottlingChecker": "wrappers.throttling",
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
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
