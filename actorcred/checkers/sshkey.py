"""SSH keys, checked against authorized_keys files."""

from __future__ import annotations

import base64
import datetime
import errno
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from actorcred.actors import Dispatcher
from actorcred.audit import quoted
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.checker import CheckerRef
from actorcred.checkers.authorized_keys import KEYS, SECURITY_KEYS, KeyLine, entries
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker
from actorcred.checkers.bases.patterns import (
    address_in,
    is_address_listed,
    is_name_listed,
    network_in,
)
from actorcred.checkers.bases.records import Complaints
from actorcred.checkers.security_key import PRESENCE, VERIFICATION, flags_of
from actorcred.credentials import SSHKey
from actorcred.errors import (
    AccountError,
    CheckerUnavailable,
    MissingExtra,
    UnauthorizedLogin,
    UnknownKey,
)

__all__ = ["SSHKeyChecker", "plugin"]

logger = logging.getLogger("actorcred.checkers")

LARGEST_FILE = 1024 * 1024
"""Bytes of the largest authorized_keys file that is read."""

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

WITH_VALUE = frozenset(("from", "expiry-time", "principals"))
WITHOUT_VALUE = frozenset(("cert-authority", "no-touch-required", "verify-required"))
"""Options that are honoured."""

HARMLESS = frozenset(
    f"{prefix}{what}"
    for prefix in ("", "no-")
    for what in ("agent-forwarding", "port-forwarding", "x11-forwarding", "user-rc")
)
"""Options about features that a portal's avatars do not have.

A key with any other option is refused, since the option would not be enforced.
"""

_CERTIFICATE = b"-cert-v01@openssh.com"


class SSHKeyChecker(BlockingChecker):
    """Checks signatures made with clients' SSH keys.

    Of the options in authorized_keys `from=`, `expiry-time=`, `cert-authority`, `principals=`,
    `no-touch-required` and `verify-required` are honoured. A key with an option that a portal
    cannot enforce, such as `command=`, is refused. FIDO authenticators (`sk-` keys) must be
    touched, unless the line of the key has `no-touch-required`.

    Args:
        keys: the path of a user's file, with %u for the name (%% is a percent sign); or a function
            that returns the content of a user's file, or None if there is none. It is called on a
            thread.
        limits: limits on the lookups.

    Raises:
        AccountError: if the path has no %u: its keys would be valid for any name.
        MissingExtra: without the extra "ssh".
    """

    credential_interfaces = (SSHKey,)

    def __init__(
        self, keys: str | Callable[[str], str | bytes | None], limits: BackendLimits | None
    ) -> None:
        super().__init__(limits)
        try:
            import asyncssh  # noqa: F401
        except ImportError:
            raise MissingExtra("SSHKeyChecker", "ssh") from None
        if isinstance(keys, str) and "%u" not in keys.replace("%%", ""):
            raise AccountError(f"the path {keys!r} needs %u for the user's name, as /etc/keys/%u")
        self._complaints = Complaints()
        self._look_up = keys if callable(keys) else FilePattern(keys)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        keys: str | Callable[[str], str | bytes | None],
        limits: BackendLimits | None = None,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("CheckerRef", super().start(keys, limits, dispatcher=dispatcher))

    def check(self, credentials: SSHKey) -> str:
        """Check a signature, and then whether the key is accepted for the name."""
        shown = _shown_by(credentials)
        content = self._look_up(credentials.username)
        raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        for entry in entries(raw or b""):
            if self._admits(entry, shown, credentials):
                return credentials.username
        raise UnknownKey(
            "not a key of this user, or a key that is not accepted now", known=raw is not None
        )

    def _admits(self, entry: KeyLine, shown: _Shown, credentials: SSHKey) -> bool:
        """Return whether a line of authorized_keys accepts a key.

        A line that cannot be read accepts no key, and does not affect the others.
        """
        try:
            return _is_about(entry, shown) and _admits(entry, shown, credentials)
        except Exception as error:  # damaged data raises many kinds of errors
            why = f"it cannot be read ({type(error).__name__})"
            self._complaints.about(credentials.username, why, by=f"line {entry.number}")
            return False


class FilePattern:
    """Reads the authorized_keys files of users.

    Args:
        pattern: the path of a user's file, with %u for the name.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._complaints = Complaints()

    def __call__(self, username: str) -> bytes | None:
        """Return the content of a user's file, or None if there is no usable file."""
        if username.startswith(".") or "/" in username or "\\" in username:
            return None  # would lead to another folder
        path = self._path_of(username)
        try:
            return _read(path)
        except OSError as error:
            if error.errno in _NO_FILE:
                return None
            if self._are_others_well():
                # "unavailable" for this name only would reveal that it exists.
                self._complaints.about(username, f"{path} cannot be read: {error.strerror}")
                return None
            raise CheckerUnavailable(f"{path} cannot be read: {error.strerror}") from None

    def _path_of(self, username: str) -> Path:
        return Path("%".join(part.replace("%u", username) for part in self._pattern.split("%%")))

    def _are_others_well(self) -> bool:
        """Return whether the file of a user who does not exist can be looked for without errors."""
        try:
            _read(self._path_of(secrets.token_hex(16)))
        except OSError as error:
            return error.errno in _NO_FILE
        return True


_NO_FILE = frozenset((errno.ENOENT, errno.ENAMETOOLONG))


def _read(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: if it is not a regular file, or too large.
    """
    # Something else that a user has put there, such as a named pipe, must not block the thread.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        raw = file.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST_FILE} bytes")
    return raw


class _Shown(NamedTuple):
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


def _shown_by(credentials: SSHKey) -> _Shown:
    key, certificate = _keys_of(credentials.blob)
    return _Shown(key, certificate, _check_signature(key, credentials))


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


def _is_about(entry: KeyLine, shown: _Shown) -> bool:
    """Return whether a line of authorized_keys has a client's key, or its certificate's signer."""
    import asyncssh

    if any(name == "cert-authority" for name, _ in entry.options) is (shown.certificate is None):
        return False
    listed = shown.listed
    if entry.kind != listed.algorithm or entry.blob == listed.public_data:
        return bool(entry.kind == listed.algorithm)
    try:
        return bool(
            asyncssh.import_public_key(entry.kind + b" " + base64.b64encode(entry.blob)) == listed
        )
    except asyncssh.KeyImportError:
        return False  # a damaged line


def _admits(entry: KeyLine, shown: _Shown, credentials: SSHKey) -> bool:
    """Return whether the options of a key's line accept it now."""
    options: dict[str, list[str | None]] = {}
    for name, value in entry.options:
        options.setdefault(name, []).append(value)
    if not all(
        is_address_listed(patterns or "", credentials.source)
        for patterns in options.get("from", ())
    ):
        return False
    impossible = {
        name
        for name, values in options.items()
        if not all(_is_kept(name, value) for value in values)
    }
    if impossible:
        names = ", ".join(quoted(name) for name in sorted(impossible))
        logger.warning(
            "A key of %r is refused: the option %s cannot be enforced", credentials.username, names
        )
        return False
    if any(_expired(text or "") for text in options.get("expiry-time", ())) or not _is_held(
        shown, options, credentials.username
    ):
        return False
    return shown.certificate is None or _good(
        shown.certificate, credentials, options.get("principals", [])
    )


def _is_kept(name: str, value: str | None) -> bool:
    """Return whether a portal enforces an option, or has nothing that it would restrict."""
    return name in (HARMLESS | WITHOUT_VALUE if value is None else WITH_VALUE)


def _is_held(shown: _Shown, options: Container[str], username: str) -> bool:
    """Return whether a FIDO authenticator was touched and verified its user, as far as required."""
    if shown.flags is None:
        return True
    waived = "no-touch-required" in options
    if shown.certificate is not None:
        # As in sshd(8): the authority and the author of the line must both waive it.
        waived = waived and "no-touch-required" in shown.certificate.options
    needed = (0 if waived else PRESENCE) | (VERIFICATION if "verify-required" in options else 0)
    missing = needed & ~shown.flags
    if missing:
        what = (
            "was not touched"
            if missing & PRESENCE
            else "did not ask for a PIN or finger (verify-required)"
        )
        logger.warning("A key of %r is refused: its authenticator %s", username, what)
    return not missing


def _expired(text: str) -> bool:
    """Return whether the time of `expiry-time=`, as read by sshd(8), is over or cannot be read."""
    zone = datetime.UTC if text.endswith("Z") else None
    digits = text.removesuffix("Z")
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    try:
        end = datetime.datetime.strptime(digits, form or "").replace(tzinfo=zone)
    except ValueError:
        return True
    return form is None or time.time() >= end.timestamp()


def _good(certificate: Any, credentials: SSHKey, principals: Sequence[str | None]) -> bool:
    """Return whether a user's certificate is valid for a name now. Its authority has been checked.

    If the authority's line has no `principals=`, the name must be one of the certificate's
    principals.
    """
    try:
        certificate.validate(1, None)  # SSH2_CERT_TYPE_USER, and its time
    except ValueError:
        return False
    named = certificate.principals
    if not principals and credentials.username not in named:
        return False
    if not all(
        any(is_name_listed(patterns or "", name) for name in named) for patterns in principals
    ):
        return False
    if "force-command" in certificate.options:
        return False
    networks = certificate.options.get("source-address")
    if networks is None:
        return True
    address = address_in(credentials.source)
    return address is not None and any(address in network_in(network) for network in networks)


def _generate(argument: ArgString) -> CheckerRef:
    read_options(argument, {})
    if not argument:
        raise ValueError("needs the path of the users' files")
    return SSHKeyChecker.start(str(argument))


plugin = CheckerPlugin(
    "sshkey",
    "PATH-WITH-%u",
    "SSH keys in authorized_keys files, one for each user: /etc/keys/%u. The options from=, "
    "expiry-time=, cert-authority, principals=, no-touch-required and verify-required are "
    "honoured; keys with options that cannot be enforced are refused.",
    (SSHKey,),
    _generate,
)
