"""SSH keys, checked against authorized_keys files."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.audit import quoted
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.checker import CheckerRef
from actorcred.checkers.authorized_keys import KeyLine, entries
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker
from actorcred.checkers.bases.patterns import (
    address_in,
    is_address_listed,
    is_name_listed,
    network_in,
)
from actorcred.checkers.bases.records import Complaints
from actorcred.checkers.key_files import FilePattern
from actorcred.checkers.security_key import PRESENCE, VERIFICATION
from actorcred.checkers.ssh_proof import Shown, certificate_facts, methods_of, shown_by
from actorcred.credentials import SSHKey
from actorcred.errors import AccountError, MissingExtra, UnknownKey
from actorcred.identity import Identity
from actorcred.standing import Revocation, Standing, fingerprint, named

__all__ = ["SSHKeyChecker", "plugin"]

logger = logging.getLogger("actorcred.checkers")

EXPIRY = "expiry-time"

WITH_VALUE = frozenset(("from", EXPIRY, "principals"))
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


class SSHKeyChecker(BlockingChecker):
    """Checks signatures made with clients' SSH keys.

    Of the options in authorized_keys `from=`, `expiry-time=`, `cert-authority`, `principals=`,
    `no-touch-required` and `verify-required` are honoured. A key with an option that a portal
    cannot enforce, such as `command=`, is refused. FIDO authenticators (`sk-` keys) must be
    touched, unless the line of the key has `no-touch-required`.

    The identity has the attributes "fingerprint" (of the key, as ssh-keygen shows it) and "comment"
    (of the line). With a certificate, the issuer is the fingerprint of its authority's key, the
    subject is its key id, and there are the attributes "serial" and "principals". The session ends
    with `expiry-time=` or with the certificate. The methods are "swk" (a key in software), or "hwk"
    (of an authenticator), "user" (it was touched) and "mfa" (by PIN or finger).

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

    def check(self, credentials: SSHKey) -> Identity:
        """Check a signature, and then whether the key is accepted for the name."""
        shown = shown_by(credentials)
        raw = self._read(credentials.username)
        for entry in entries(raw or b""):
            if self._admits(entry, shown, credentials):
                return self.proven_by(entry.blob, _identity_of(entry, shown, credentials))
        raise UnknownKey(
            "not a key of this user, or a key that is not accepted now", known=raw is not None
        )

    def _read(self, username: str) -> bytes | None:
        content = self._look_up(username)
        return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content

    def check_standing(self, names: tuple[str, ...]) -> Standing:
        """Return whose keys, or whose authorities' keys, are no longer in the files.

        What a line demands of a login, such as `from=`, is not examined again.
        """
        files: dict[str, frozenset[str] | None] = {}
        gone = {}
        for name in names:
            user, proof = named(name)
            if user not in files:
                files[user] = self._lines_of(user)
            lines = files[user]
            if lines is not None and (proof not in lines if proof else not lines):
                gone[name] = Revocation.DISABLED
        return Standing(gone)

    def _lines_of(self, user: str) -> frozenset[str] | None:
        """Return the fingerprints of the keys that a file accepts; None if that is not known."""
        raw = self._read(user)
        if raw is None and isinstance(self._look_up, FilePattern) and not self._look_up.lacks(user):
            return None
        return frozenset(
            fingerprint(entry.blob)
            for entry in entries(raw or b"")
            if not any(_expired(text or "") for name, text in entry.options if name == EXPIRY)
        )

    def _admits(self, entry: KeyLine, shown: Shown, credentials: SSHKey) -> bool:
        """Return whether a line of authorized_keys accepts a key.

        A line that cannot be read accepts no key, and does not affect the others.
        """
        try:
            return _is_about(entry, shown) and _admits(entry, shown, credentials)
        except Exception as error:  # damaged data raises many kinds of errors
            why = f"it cannot be read ({type(error).__name__})"
            self._complaints.about(credentials.username, why, by=f"line {entry.number}")
            return False


def _is_about(entry: KeyLine, shown: Shown) -> bool:
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


def _admits(entry: KeyLine, shown: Shown, credentials: SSHKey) -> bool:
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


def _is_held(shown: Shown, options: Container[str], username: str) -> bool:
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
    """Return whether the time of `expiry-time=` is over or cannot be read."""
    try:
        return datetime.now(UTC) >= _time_in(text)
    except (ValueError, OverflowError):
        return True


def _time_in(text: str) -> datetime:
    """Return the time of `expiry-time=`, as read by sshd(8).

    Raises:
        ValueError: if it cannot be read.
        OverflowError: if it is out of range.
    """
    digits = text.removesuffix("Z")
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    if form is None:
        raise ValueError("a time has 8, 12 or 14 digits")
    time = datetime.strptime(digits, form)
    return time.replace(tzinfo=UTC) if text.endswith("Z") else time.astimezone(UTC)


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


def _identity_of(entry: KeyLine, shown: Shown, credentials: SSHKey) -> Identity:
    """Return the identity of a client that a line of authorized_keys admits."""
    attributes: dict[str, Any] = {"fingerprint": shown.key.get_fingerprint()}
    if entry.comment:
        attributes["comment"] = entry.comment
    ends = [_time_in(text or "") for name, text in entry.options if name == "expiry-time"]
    issuer = subject = None
    if shown.certificate is not None:
        facts = certificate_facts(credentials.blob)
        issuer, subject = shown.listed.get_fingerprint(), facts.key_id or None
        attributes |= {"serial": facts.serial, "principals": facts.principals}
        ends += [facts.expires] if facts.expires is not None else []
    return Identity(
        credentials.username,
        issuer=issuer,
        subject=subject,
        attributes=attributes,
        methods=methods_of(shown),
        expires=min(ends, default=None),
    )


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
