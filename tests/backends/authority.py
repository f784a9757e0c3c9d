"""A certificate authority for odd certificates and revocation lists, which trustme cannot make."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA with its own key."""

    def __init__(self, name="Test CA"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._builder(self.name, NOW + 30 * DAY)
            .public_key(self.key.public_key())
            .sign(self.key, hashes.SHA256())
        )

    def _builder(self, subject, end, start=NOW - 2 * DAY):
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .serial_number(x509.random_serial_number())
        )
        return made.not_valid_before(start).not_valid_after(end)

    def issue(self, *names, cn="ann", end=NOW + DAY, start=NOW - 2 * DAY):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, cn)])
        builder = self._builder(subject, end, start).public_key(
            ec.generate_private_key(ec.SECP256R1()).public_key()
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(names)), critical=False
            )
        return builder.sign(self.key, hashes.SHA256())

    def revoke(self, *certificates, end=NOW + DAY):
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(NOW - DAY)
            .next_update(end)
        )
        for one in certificates:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(one.serial_number)
                .revocation_date(NOW - DAY)
                .build()
            )
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
