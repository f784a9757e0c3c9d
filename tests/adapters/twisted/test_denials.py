"""What Twisted's protocols answer to a client that must wait, and that it is for one login only.

tests/adapters/test_doors.py has the same with real connections.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("twisted", reason="Twisted is not installed: pip install 'actorcred[twisted]'")

from twisted.internet.testing import StringTransport
from twisted.mail import imap4, pop3, smtp

from actorcred import LoginDenied
from actorcred.adapters.twisted.denials import ANSWERS, name_in, replace_next

AGAIN = LoginDenied(retry_after=2.5, seen=False)
NO_MORE = LoginDenied(retry_after=2.5, seen=False, close=True)


def prepared(protocol: Any, error: LoginDenied) -> bool:
    return ANSWERS[name_in(protocol, ANSWERS)](protocol, error)


def connected(protocol: Any) -> tuple[Any, StringTransport]:
    transport = StringTransport()
    protocol.factory = SimpleNamespace(noisy=False)
    protocol.transport = transport
    return protocol, transport


@pytest.mark.parametrize("error", [AGAIN, NO_MORE], ids=["again", "no more"])
def test_pop3_says_that_it_is_temporary(error: LoginDenied) -> None:
    protocol, transport = connected(pop3.POP3())
    assert prepared(protocol, error) is error.close
    protocol.failResponse("Access denied: [Failure instance: ...]")
    protocol.failResponse(b"no such message")
    assert transport.value() == (
        b"-ERR [SYS/TEMP] login denied, try again in 2.5 s\r\n-ERR no such message\r\n"
    )


@pytest.mark.parametrize("error", [AGAIN, NO_MORE], ids=["again", "no more"])
def test_imap_is_unavailable(error: LoginDenied) -> None:
    protocol, transport = connected(imap4.IMAP4Server())
    assert prepared(protocol, error) is error.close
    protocol.sendNegativeResponse(b"a1", b"LOGIN failed")
    protocol.sendNegativeResponse(b"a2", b"no such folder")
    assert transport.value() == (
        b"a1 NO [UNAVAILABLE] login denied, try again in 2.5 s\r\na2 NO no such folder\r\n"
    )


def test_smtp_closes_the_connection_in_any_case() -> None:
    protocol, transport = connected(smtp.ESMTP())
    assert prepared(protocol, AGAIN) is True
    protocol.sendCode(535, b"Authentication failed")
    protocol.sendCode(250, b"fine")
    assert transport.value() == b"421 4.7.0 login denied, try again in 2.5 s\r\n250 fine\r\n"


class Request:
    def __init__(self) -> None:
        self.code, self.headers = 0, {}

    def setHeader(self, name: bytes, value: bytes) -> None:
        self.headers[name] = value

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        self.code = code


class HTTPChannel:
    def __init__(self, *requests: Any) -> None:
        self.requests = list(requests)


HTTPChannel.__module__, HTTPChannel.__qualname__ = "twisted.web.http", "HTTPChannel"


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (AGAIN, {b"retry-after": b"3"}),
        (NO_MORE, {b"retry-after": b"3", b"connection": b"close"}),
        (LoginDenied(seen=False), {}),
    ],
    ids=["again", "no more", "at any time"],
)
def test_http_says_too_many_requests(error: LoginDenied, headers: Any) -> None:
    request = Request()
    assert prepared(HTTPChannel(object(), request), error) is False
    request.setResponseCode(401)
    assert (request.code, request.headers) == (429, headers)
    request.setResponseCode(401)
    assert request.code == 401


def test_other_answers_of_http_stay_and_so_does_a_channel_without_a_request() -> None:
    request = Request()
    prepared(AnyHTTP(HTTPChannel(request)), AGAIN)
    request.setResponseCode(500)
    assert request.code == 500
    assert prepared(HTTPChannel(), AGAIN) is False


class AnyHTTP:
    """Twisted's protocol around the one of the version that the client speaks."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel


AnyHTTP.__module__ = "twisted.web.http"
AnyHTTP.__qualname__ = "_GenericHTTPChannelProtocol"


def test_the_next_call_alone_is_replaced() -> None:
    class Speaker:
        def say(self, word: str) -> str:
            return word

    speaker, other = Speaker(), Speaker()
    replace_next(speaker, "say", lambda word: f"not {word}")
    assert (speaker.say("a"), speaker.say("b"), other.say("c")) == ("not a", "b", "c")


def test_protocols_without_an_answer_of_their_own_are_not_in_the_table() -> None:
    assert name_in(object(), ANSWERS) == ""
