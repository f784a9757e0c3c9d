"""SMTP by GNU SASL's own client: SCRAM over STARTTLS, with channel binding if it supports that."""

from __future__ import annotations

import ssl
import subprocess
from typing import Any

import pytest
import trustme

from actorcred import PortalOptions
from actorcred.sasl.mechanisms import LEGACY
from tests.adapters.front import LOCALHOST
from tests.adapters.test_aiosmtpd import Stage
from tests.backends.servers import program

__all__ = ["Stage"]  # which the fixture takes from here

TLS_1_2, TLS_1_3 = "NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"


@pytest.fixture
def secure(stages, tmp_path):
    """Make a stage with STARTTLS, and what asks it by gsasl."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(LOCALHOST).configure_cert(context)
    command = program("gsasl", "gsasl")

    def make(**settings: Any) -> Any:
        stage = stages(tls_context=context, **settings)

        def ask(*words: str, password: str = "s3cret", tls: str = TLS_1_3) -> tuple[bool, str]:
            who = [
                "-a",
                "ann",
                "-p",
                password,
                f"--x509-ca-file={tmp_path / 'ca.pem'}",
                f"--priority={tls}",
                "--no-client-first",
            ]
            server = ["--smtp", "--starttls", f"--connect={LOCALHOST}:{stage.port}"]
            done = subprocess.run(
                [command, *server, *who, *words],
                capture_output=True,
                text=True,
                timeout=30,
                input="",
                check=False,
            )
            return "235 2.7.0" in done.stdout, done.stdout + done.stderr

        return ask

    return make


@pytest.mark.parametrize("algorithm", ["SHA-1", "SHA-256"])
def test_gsasl_binds_the_exchange_to_tls_1_2(secure, algorithm):
    ask = secure(legacy_mechanisms=LEGACY)
    for words in ((), ("-z", "ann")):
        assert ask("-m", f"SCRAM-{algorithm}-PLUS", *words, tls=TLS_1_2)[0]
    assert not ask("-m", f"SCRAM-{algorithm}-PLUS", password="wrong", tls=TLS_1_2)[0]


@pytest.mark.parametrize("tls", [TLS_1_2, TLS_1_3])
def test_gsasl_without_a_binding(secure, tls):
    ask = secure(legacy_mechanisms=LEGACY)
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN"):
        right, said = ask("-m", mechanism, "--no-cb", tls=tls)
        assert right, said
        assert not ask("-m", mechanism, "--no-cb", password="wrong", tls=tls)[0]


def test_gsasl_takes_the_strongest_by_itself(secure):
    right, said = secure()(tls=TLS_1_2)
    assert right
    assert "AUTH SCRAM-SHA-256-PLUS" in said


def test_gsasl_may_say_whom_to_act_as(secure):
    ask = secure(options=PortalOptions(may_act_as=lambda who, whom: whom == "team"))
    for mechanism in ("SCRAM-SHA-256", "PLAIN"):
        for wanted, right in (("ann", True), ("team", True), ("bob", False)):
            assert ask("-m", mechanism, "--no-cb", "-z", wanted)[0] == right
