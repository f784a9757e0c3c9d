"""CRAM-MD5: the name that a client claims, and one answer to one question."""

from __future__ import annotations

import pytest

from actorcred import ProtocolError, UnauthorizedLogin
from actorcred.identity import ClientInfo
from actorcred.sasl.cram_md5 import CramMD5Client, CramMD5Server
from actorcred.sasl.mechanism import Challenge, Credentials, Secrets


def asked() -> tuple[CramMD5Server, bytes]:
    server = CramMD5Server(ClientInfo(local="localhost", address="192.0.2.1"))
    step = server.step(None)
    assert isinstance(step, Challenge)
    return server, step.challenge


def test_the_answer_fits_the_password_of_which_it_was_made() -> None:
    server, challenge = asked()
    step = server.step(CramMD5Client(Secrets("ann", "s3cret")).answer(challenge))

    assert isinstance(step, Credentials)
    assert step.credentials.username == "ann"  # type: ignore[attr-defined]
    assert step.credentials.check_password(b"s3cret")  # type: ignore[attr-defined]
    assert not step.credentials.check_password(b"wrong")  # type: ignore[attr-defined]
    assert "s3cret" not in repr(step)


def test_a_name_that_nobody_can_have_is_refused_as_a_wrong_password() -> None:
    server, _ = asked()
    with pytest.raises(UnauthorizedLogin) as refused:
        server.step(b"a\x01b 0123456789abcdef0123456789abcdef")
    assert "not allowed" in refused.value.detail


def test_a_client_answers_one_question() -> None:
    client = CramMD5Client(Secrets("ann", "s3cret"))
    assert client.start() is None
    client.answer(b"<1@localhost>")
    with pytest.raises(ProtocolError):
        client.answer(b"<2@localhost>")
