"""SSH keys, against authorized_keys files."""

from __future__ import annotations

import base64
import datetime
import errno
import ipaddress
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.audit import quoted
from actorcred.checkers.base import CheckerRef
from actorcred.checkers.blocking import BackendLimits, BlockingChecker
from actorcred.checkers.plugin import CheckerPlugin, read_options
from actorcred.checkers.records import Complaints
from actorcred.credentials import SSHKey
from actorcred.descriptors import ArgString
from actorcred.errors import AccountError, CheckerUnavailable, MissingExtra, UnauthorizedLogin, UnknownKey

__all__ = ["SSHKeyChecker", "plugin"]

logger = logging.getLogger("actorcred.checkers")

LARGEST_FILE = 1024 * 1024
"""Bytes of an authorized_keys file."""

LARGEST_KEY = 65_536
"""Bytes of a key or a certificate."""

SIGNATURES = frozenset(
    (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521", b"rsa-sha2-256", b"rsa-sha2-512")
)
"""How what is signed may be signed. `ssh-rsa` is RSA with SHA-1 (RFC 8332), and not among them."""

HONOURED = frozenset(("from", "expiry-time", "cert-authority", "principals"))
HARMLESS = frozenset(
    f"{prefix}{what}" for prefix in ("", "no-") for what in ("agent-forwarding", "port-forwarding", "x11-forwarding", "user-rc")
)
"""Options about what a portal's avatars do not have. With any other option a key is refused: nobody would keep to it."""

_CERTIFICATE = b"-cert-v01@openssh.com"

KEYS = frozenset((b"ssh-ed25519", b"ssh-rsa", b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521"))
"""Kinds of keys that can make such signatures."""


class SSHKeyChecker(BlockingChecker):
    """Checks what clients signed with their SSH keys.

    Of the options in authorized_keys `from=`, `expiry-time=`, `cert-authority` and `principals=` are honoured. A key with one
    that a portal cannot keep, as `command=`, is refused.

    Args:
        keys: the path of a user's file, with %u for the name (%% is a percent sign); or a function that returns the text of
            one, or None for a user who has none. It is called on a thread.
        limits: how much is looked up at a time.

    Raises:
        AccountError: if the path has no %u: its keys would be good for any name.
        MissingExtra: without the extra "ssh".
    """

    credential_interfaces = (SSHKey,)

    def __init__(self, keys: str | Callable[[str], str | None], limits: BackendLimits | None) -> None:
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
        keys: str | Callable[[str], str | None],
        limits: BackendLimits | None = None,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("CheckerRef", super().start(keys, limits, dispatcher=dispatcher))

    def check(self, credentials: SSHKey) -> str:
        """Check a signature, then whether the key may come in under the name."""
        key, certificate = _keys_of(credentials.blob)
        _check_signature(key, credentials)
        text = self._look_up(credentials.username)
        for number, line in enumerate((text or "").splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#") and self._admits(line, number, key, certificate, credentials):
                return credentials.username
        raise UnknownKey("no key of this user, or one that may not come in now", known=text is not None)

    def _admits(self, line: str, number: int, key: Any, certificate: Any, credentials: SSHKey) -> bool:
        """Tell whether a line of authorized_keys lets a key in. One that cannot be read lets nobody in, and harms no other."""
        try:
            return _admits(line, key, certificate, credentials)
        except Exception as error:  # the library's own and many of Python's, of what is damaged
            self._complaints.about(credentials.username, f"it cannot be read ({type(error).__name__})", by=f"line {number}")
            return False


class FilePattern:
    """Reads the authorized_keys file of a user.

    Args:
        pattern: its path, with %u for the name.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._complaints = Complaints()

    def __call__(self, username: str) -> str | None:
        """Return the text of the file, or None if there is none that can be used."""
        if username.startswith(".") or "/" in username or "\\" in username:
            return None  # would lead elsewhere
        path = self._path_of(username)
        try:
            raw = _read(path)
        except OSError as error:
            if error.errno in _NO_FILE:
                return None
            if self._are_others_well():
                # For this name alone "unavailable" would say that it exists.
                self._complaints.about(username, f"{path} cannot be read: {error.strerror}")
                return None
            raise CheckerUnavailable(f"{path} cannot be read: {error.strerror}") from None
        return raw.decode("utf-8", "replace")

    def _path_of(self, username: str) -> Path:
        return Path("%".join(part.replace("%u", username) for part in self._pattern.split("%%")))

    def _are_others_well(self) -> bool:
        """Tell whether the file of somebody who does not exist would be looked for without trouble."""
        try:
            _read(self._path_of(secrets.token_hex(16)))
        except OSError as error:
            return error.errno in _NO_FILE
        return True


_NO_FILE = frozenset((errno.ENOENT, errno.ENAMETOOLONG))


def _read(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: if it is none, or too large.
    """
    # What a user has put there instead, as a named pipe, must not hold the thread.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        raw = file.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST_FILE} bytes")
    return raw


def _keys_of(blob: bytes) -> tuple[Any, Any]:
    """Return the key of a client, and the certificate about it if there is one."""
    import asyncssh

    algorithm = _first_string(blob)
    if algorithm.removesuffix(_CERTIFICATE) not in KEYS or len(blob) > LARGEST_KEY:
        raise UnauthorizedLogin("a key of a kind that does not count")
    text = algorithm + b" " + base64.b64encode(blob)
    try:
        if algorithm.endswith(_CERTIFICATE):
            certificate = asyncssh.import_certificate(text)
            return certificate.key, certificate
        return asyncssh.import_public_key(text), None
    except Exception as error:  # the library's own and many of Python's: a negative number is an OverflowError
        raise UnauthorizedLogin(f"this is no public key: {type(error).__name__}") from None


def _first_string(data: bytes) -> bytes:
    return data[4 : 4 + int.from_bytes(data[:4], "big")]


def _check_signature(key: Any, credentials: SSHKey) -> None:
    if _first_string(credentials.signature) not in SIGNATURES or not credentials.signed:
        raise UnauthorizedLogin("a signature of this kind does not count")
    try:
        right = key.verify(credentials.signed, credentials.signature)
    except Exception as error:  # the library's, of what is damaged
        raise UnauthorizedLogin(f"the signature is damaged: {type(error).__name__}") from None
    if not right:
        raise UnauthorizedLogin("wrong signature")


def _admits(line: str, key: Any, certificate: Any, credentials: SSHKey) -> bool:
    """Tell whether a line of authorized_keys lets a key in."""
    import asyncssh

    source = credentials.source
    try:
        entry = asyncssh.import_authorized_keys(line)
        if certificate is None:
            options = entry.validate(key, source, source)
        else:
            options = entry.validate(certificate.signing_key, source, source, certificate.principals, ca=True)
    except (asyncssh.KeyImportError, ValueError):
        return False  # a damaged line, or `from=` without an address
    if options is None:
        return False
    unknown = {name for name in options if name.lower() not in HARMLESS and name not in HONOURED}
    if unknown:
        names = ", ".join(quoted(name) for name in sorted(unknown))
        logger.warning("A key of %r is refused: the option %s cannot be kept", credentials.username, names)
        return False
    dates = options.get("expiry-time", [])
    if not isinstance(dates, list) or any(_expired(text) for text in dates):
        return False
    return certificate is None or _good(certificate, credentials, restricted="principals" in options)


def _expired(text: str) -> bool:
    """Tell whether the time of `expiry-time=` is over, as sshd(8) reads it; one that cannot be read is."""
    zone = datetime.UTC if text.endswith("Z") else None
    digits = text.removesuffix("Z")
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    try:
        end = datetime.datetime.strptime(digits, form or "").replace(tzinfo=zone)
    except ValueError:
        return True
    return form is None or time.time() >= end.timestamp()


def _good(certificate: Any, credentials: SSHKey, *, restricted: bool) -> bool:
    """Tell whether a user's certificate is good for a name now. Its authority has been checked.

    Without `principals=` at the authority, the name has to be one of the certificate's.
    """
    try:
        certificate.validate(1, None)  # SSH2_CERT_TYPE_USER, and its time
    except ValueError:
        return False
    if not certificate.principals or (not restricted and credentials.username not in certificate.principals):
        return False
    options = dict(certificate.options)
    networks = options.pop("source-address", None)
    if "force-command" in options:
        return False
    if networks is None:
        return True
    try:
        address = ipaddress.ip_address(credentials.source.partition("%")[0])
    except ValueError:
        return False
    return any(address in network for network in networks)


def _generate(argument: ArgString) -> CheckerRef:
    read_options(argument, {})
    if not argument:
        raise ValueError("needs the path of the users' files")
    return SSHKeyChecker.start(str(argument))


plugin = CheckerPlugin(
    "sshkey",
    "PATH-WITH-%u",
    "SSH keys in authorized_keys files, one for each user: /etc/keys/%u. The options from=, expiry-time=, cert-authority and "
    "principals= are honoured; keys with options that cannot be kept are refused.",
    (SSHKey,),
    _generate,
)
