"""TLS client certificates."""

from __future__ import annotations

import datetime
import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.auth.plugin import CheckerPlugin, start_with_path
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.bases.facts import LONGEST_FACT, method_names
from actorcred.checkers.bases.polling import PollingChecker
from actorcred.checkers.bases.watched import WatchedFile, why
from actorcred.credentials import Certificate
from actorcred.errors import (
    AccountError,
    CheckerUnavailable,
    LoginFailed,
    MissingExtra,
    UnauthorizedLogin,
)
from actorcred.identity import Identity
from actorcred.names import make_avatar_id

__all__ = ["IDENTITIES", "CertificateChecker", "plugin"]

IDENTITIES = ("email", "dns", "uri", "cn", "subject")
"""Sources of a name: alternative names, the common name, or the whole subject (RFC 4514)."""

MOST_NAMES = 64
"""Alternative names of a certificate that are kept in the identity."""

REMEMBERED = 100_000
"""Certificates whose owners are remembered, so that sessions end when a certificate is revoked."""


class CertificateChecker(PollingChecker):
    """Checks the certificates with which clients opened TLS connections.

    The TLS library has verified the chain. The checker verifies that the certificate is signed by
    an accepted issuer, valid now and not revoked, and reads the user's name. A certificate with no
    name of the chosen kind, or with several, is refused. The session ends with the certificate.

    The identity's issuer is the issuer's name (RFC 4514). Its attributes are "serial" and
    "fingerprint" (SHA-256) in hexadecimal, and "names", the alternative names, each with its kind,
    such as "email:ann@example.org".

    Args:
        ca: a PEM file with the certificates of the accepted issuers.
        identity: which part of the certificate is the avatar id, one of `IDENTITIES`.
        crl: a PEM file with revocation lists (RFC 5280), signed by the same issuers; read again
            when it has changed. Once a list has expired, no client is accepted until there is a new
            one.
        subject: which part is `Identity.subject`, one of `IDENTITIES`; None if there is not exactly
            one of it.
        methods: how the clients keep their keys (RFC 8176): {"swk"} in software, {"hwk"} in
            hardware, {"sc"} on smart cards. A certificate does not tell.

    Raises:
        AccountError: if a file cannot be used.
        ValueError: if another argument cannot be used.
        MissingExtra: without the extra "certificate".
    """

    credential_interfaces = (Certificate,)

    def __init__(
        self,
        ca: str | os.PathLike[str],
        identity: str,
        crl: str | os.PathLike[str] | None,
        subject: str,
        methods: frozenset[str],
    ) -> None:
        super().__init__()
        try:
            from cryptography import x509
        except ImportError:
            raise MissingExtra("CertificateChecker", "certificate") from None
        for role, part in (("identity", identity), ("subject", subject)):
            if part not in IDENTITIES:
                raise ValueError(f"the {role} {part!r} is not one of {', '.join(IDENTITIES)}")
        self._identity = identity
        self._subject = subject
        self._methods = method_names(" ".join(methods))
        self._owners: OrderedDict[tuple[bytes, int], str] = OrderedDict()
        try:
            self._signers: list[Any] = x509.load_pem_x509_certificates(Path(ca).read_bytes())
        except (OSError, ValueError) as error:
            raise AccountError(
                f"cannot use the certificates in {os.fspath(ca)!r}: {error}"
            ) from None
        self._lists = None if crl is None else WatchedFile(crl, self._parse_lists)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        ca: str | os.PathLike[str],
        identity: str = "email",
        crl: str | os.PathLike[str] | None = None,
        *,
        subject: str = "subject",
        methods: frozenset[str] = frozenset({"swk"}),
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast(
            "CheckerRef", super().start(ca, identity, crl, subject, methods, dispatcher=dispatcher)
        )

    def on_start(self) -> None:
        """Start watching the revocation lists."""
        if self._lists is not None:
            self.start_polling()

    def request_avatar_id(self, credentials: Certificate) -> Identity:
        """Check a certificate."""
        try:
            key, identity = self._read(credentials.der)
        except LoginFailed:
            raise
        except Exception as error:  # damaged data raises many kinds of errors
            raise UnauthorizedLogin(f"the certificate is damaged: {type(error).__name__}") from None
        self._owners[key] = cast("str", identity.avatar_id)
        while len(self._owners) > REMEMBERED:
            self._owners.popitem(last=False)
        return identity

    def _read(self, der: bytes) -> tuple[tuple[bytes, int], Identity]:
        """Check a certificate, and return its issuer and serial number, and the identity."""
        from cryptography import x509

        certificate = x509.load_der_x509_certificate(der)
        issuer = next((signer for signer in self._signers if _signed(certificate, signer)), None)
        now = datetime.datetime.now(datetime.UTC)
        if (
            issuer is None
            or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        ):
            raise UnauthorizedLogin("the certificate is not valid now, or has another issuer")
        self._check_lists(certificate, issuer, now)
        names = _names_of(certificate, self._identity)
        if len(names) != 1:
            raise UnauthorizedLogin(
                f"the certificate has {len(names)} names of kind {self._identity}"
            )
        subjects = _names_of(certificate, self._subject)
        identity = Identity(
            make_avatar_id(names[0]),
            issuer=issuer.subject.rfc4514_string(),
            subject=subjects[0] if len(subjects) == 1 else None,
            attributes=_facts_of(certificate, der),
            methods=self._methods,
            expires=certificate.not_valid_after_utc,
        )
        return (issuer.subject.public_bytes(), certificate.serial_number), identity

    # -- revoked certificates ----------------------------------------------------------------------

    def _parse_lists(self, raw: bytes) -> list[Any]:
        from cryptography import x509

        end = b"-----END X509 CRL-----"
        lists = [x509.load_pem_x509_crl(part.lstrip() + end) for part in raw.split(end)[:-1]]
        if not lists:
            raise ValueError("there is no list in it")
        for one in lists:
            if not any(
                one.issuer == signer.subject and one.is_signature_valid(signer.public_key())
                for signer in self._signers
            ):
                raise ValueError("a list in it is not signed by an accepted issuer")
        return lists

    def _check_lists(self, certificate: Any, issuer: Any, now: datetime.datetime) -> None:
        if self._lists is None:
            return
        try:
            lists = self._lists.read()
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"the revocation list cannot be used: {why(error)}") from None
        mine = [one for one in lists if one.issuer == issuer.subject]
        if not mine or any(
            one.next_update_utc is not None and one.next_update_utc < now for one in mine
        ):
            raise CheckerUnavailable(
                "there is no revocation list of this issuer that has not expired"
            )
        if any(
            one.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
            for one in mine
        ):
            raise UnauthorizedLogin("the certificate is revoked")

    def poll(self) -> None:
        """End the sessions of users whose certificates have been revoked."""
        _, lists = (self._lists and self._lists.poll()) or ((), ())
        for one in lists:
            for revoked in one:
                owner = self._owners.pop((one.issuer.public_bytes(), revoked.serial_number), None)
                if owner is not None:
                    cast("CheckerRef", self._actor_ref).revoke(owner, Revocation.DISABLED)


def _names_of(certificate: Any, part: str) -> list[str]:
    """Return the names in a part of a certificate, one of `IDENTITIES`."""
    from cryptography import x509

    if part == "subject":
        return [certificate.subject.rfc4514_string()]
    if part == "cn":
        return [
            str(pair.value)
            for pair in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        ]
    names = _alternative_names(certificate)
    kind = {"email": x509.RFC822Name, "dns": x509.DNSName, "uri": x509.UniformResourceIdentifier}
    return [] if names is None else list(names.get_values_for_type(kind[part]))


def _alternative_names(certificate: Any) -> Any:
    """Return the alternative names of a certificate, or None."""
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _facts_of(certificate: Any, der: bytes) -> dict[str, Any]:
    """Return the attributes of the certificate's owner."""
    found: dict[str, Any] = {
        "serial": f"{certificate.serial_number:x}",
        "fingerprint": hashlib.sha256(der).hexdigest(),
    }
    texts = [
        f"{kind}:{value}"
        for kind in ("email", "dns", "uri")
        for value in _names_of(certificate, kind)
        if value.isprintable() and len(value) <= LONGEST_FACT
    ]
    if texts:
        found["names"] = tuple(texts[:MOST_NAMES])
    return found


def _signed(certificate: Any, signer: Any) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


plugin = CheckerPlugin(
    "certificate",
    "CA-PATH",
    "TLS client certificates signed by an issuer in a PEM file. Options: identity=email, dns, uri, "
    "cn or subject is the part with the name, subject= the part that is the identity's subject; "
    "methods=swk, hwk or sc says how clients keep their keys; crl=PATH is a file with revocation "
    "lists. The address must request certificates from clients: tls:...&client_ca=PATH.",
    (Certificate,),
    start_with_path(
        CertificateChecker.start,
        {"identity": str, "crl": str, "subject": str, "methods": method_names},
    ),
)
