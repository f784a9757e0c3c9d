"""TLS client certificates."""

from __future__ import annotations

import datetime
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.auth.plugin import CheckerPlugin, start_with_path
from actorcred.checker import CheckerRef, Revocation
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
from actorcred.names import make_avatar_id

__all__ = ["IDENTITIES", "CertificateChecker", "plugin"]

IDENTITIES = ("email", "dns", "uri", "cn", "subject")
"""What of a certificate can be the avatar id: an alternative name, the common name, or the whole subject (RFC 4514)."""

REMEMBERED = 100_000
"""Certificates whose owners are remembered, so that a session ends when one of them is revoked."""


class CertificateChecker(PollingChecker):
    """Checks the certificates with which clients opened TLS connections.

    The TLS library has verified the chain. This looks who signed the certificate, that it is valid now and not revoked,
    and who it is for. One that names several of what is wanted, or none, lets nobody in.

    Args:
        ca: a PEM file with the certificates of those who may have signed it.
        identity: what of it is the avatar id, one of `IDENTITIES`.
        crl: a PEM file with lists of revoked certificates (RFC 5280), signed by the same; read again when it has changed.
            When the time of a list is over nobody is let in until there is a new one.

    Raises:
        AccountError: if a file cannot be used.
        MissingExtra: without the extra "certificate".
    """

    credential_interfaces = (Certificate,)

    def __init__(
        self, ca: str | os.PathLike[str], identity: str, crl: str | os.PathLike[str] | None
    ) -> None:
        super().__init__()
        try:
            from cryptography import x509
        except ImportError:
            raise MissingExtra("CertificateChecker", "certificate") from None
        if identity not in IDENTITIES:
            raise ValueError(f"the identity {identity!r} is none of {', '.join(IDENTITIES)}")
        self._identity = identity
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
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("CheckerRef", super().start(ca, identity, crl, dispatcher=dispatcher))

    def on_start(self) -> None:
        """Begin to watch the list of revoked certificates."""
        if self._lists is not None:
            self.start_polling()

    def request_avatar_id(self, credentials: Certificate) -> str:
        """Check a certificate."""
        try:
            issuer, serial, avatar_id = self._read(credentials.der)
        except LoginFailed:
            raise
        except Exception as error:  # the library's own and many of Python's, of what is damaged
            raise UnauthorizedLogin(f"the certificate is damaged: {type(error).__name__}") from None
        self._owners[(issuer, serial)] = avatar_id
        while len(self._owners) > REMEMBERED:
            self._owners.popitem(last=False)
        return avatar_id

    def _read(self, der: bytes) -> tuple[bytes, int, str]:
        """Return who has issued a certificate, with which number, and for whom, once it has been checked."""
        from cryptography import x509

        certificate = x509.load_der_x509_certificate(der)
        issuer = next((signer for signer in self._signers if _signed(certificate, signer)), None)
        now = datetime.datetime.now(datetime.UTC)
        if (
            issuer is None
            or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        ):
            raise UnauthorizedLogin("the certificate is not valid now, or of another issuer")
        self._check_lists(certificate, issuer, now)
        names = self._names_of(certificate)
        if len(names) != 1:
            raise UnauthorizedLogin(f"the certificate names {len(names)} of {self._identity}")
        return issuer.subject.public_bytes(), certificate.serial_number, make_avatar_id(names[0])

    def _names_of(self, certificate: Any) -> list[str]:
        from cryptography import x509

        if self._identity == "subject":
            return [certificate.subject.rfc4514_string()]
        if self._identity == "cn":
            return [
                str(pair.value)
                for pair in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            ]
        kind = {
            "email": x509.RFC822Name,
            "dns": x509.DNSName,
            "uri": x509.UniformResourceIdentifier,
        }[self._identity]
        try:
            names = certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
        except x509.ExtensionNotFound:
            return []
        return list(names.get_values_for_type(kind))

    # -- revoked certificates -----------------------------------------------------------------------------------------

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
                raise ValueError("a list in it is not signed by an issuer of certificates")
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
                "there is no revocation list of this issuer whose time is not over"
            )
        if any(
            one.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
            for one in mine
        ):
            raise UnauthorizedLogin("the certificate is revoked")

    def poll(self) -> None:
        """End the sessions of those whose certificates are revoked now."""
        _, lists = (self._lists and self._lists.poll()) or ((), ())
        for one in lists:
            for revoked in one:
                owner = self._owners.pop((one.issuer.public_bytes(), revoked.serial_number), None)
                if owner is not None:
                    cast("CheckerRef", self._actor_ref).revoke(owner, Revocation.DISABLED)


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
    "TLS client certificates signed by those in a PEM file. Options: identity=email, dns, uri, cn or subject says what of it is "
    "the name; crl=PATH names a list of revoked ones. The address has to ask clients for one: tls:...&client_ca=PATH.",
    (Certificate,),
    start_with_path(CertificateChecker.start, {"identity": str, "crl": str}),
)
