"""Addresses as strings."""

from __future__ import annotations

import pytest

from actorcred.rpc.protocol.addresses import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp:127.0.0.1:9986", Address("tcp", "127.0.0.1", 9986, "/")),
        ("tcp://example.org:1", Address("tcp", "example.org", 1, "/")),
        ("tls:[::1]:9987?cert=c.pem&key=k%20.pem", Address("tls", "::1", 9987, "/")),
        ("unix:/run/arena.sock", Address("unix", path="/run/arena.sock")),
        ("unix:///run/a%20b.sock", Address("unix", path="/run/a b.sock")),
        ("ws://0.0.0.0:8080/rpc/socket", Address("ws", "0.0.0.0", 8080, "/rpc/socket")),
        ("wss::443", Address("wss", "127.0.0.1", 443, "/")),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address) -> None:
    parsed = Address.parse(text)
    assert parsed == address
    assert Address.parse(str(parsed)) == parsed


def test_options_follow_a_question_mark() -> None:
    assert Address.parse("tls:localhost:1?cert=c.pem&key=k%20.pem").options == {
        "cert": "c.pem",
        "key": "k .pem",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must begin with"),
        ("http://x:1", "must begin with"),
        ("127.0.0.1:9986", "must begin with"),
        ("tcp:localhost", "tcp:HOST:PORT"),
        ("tcp:localhost:http", "tcp:HOST:PORT"),
        ("tcp:localhost:70000", "0 to 65535"),
        ("tcp:localhost:1/path", "has a path"),
        ("tcp:::1:80", "tcp:HOST:PORT"),
        ("unix:", "lacks the path"),
        ("tcp:localhost:1?cert=x", "the option 'cert', which is not known: tcp may have proxy"),
        ("tls:localhost:1?crt=x", "the option 'crt', which is not known: tls may have cert, key"),
    ],
)
def test_what_is_wrong_is_said(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("tcp:127.0.0.1:1", True),
        ("tcp:[::1]:1", True),
        ("tcp:localhost:1", True),
        ("tcp:192.0.2.1:1", False),
        ("tcp:example.org:1", False),
        ("ws:example.org:1", False),
        ("wss:example.org:1", True),
        ("tls:192.0.2.1:1", True),
        ("unix:/x", True),
    ],
)
def test_where_a_password_may_be_sent(text: str, private: bool) -> None:
    assert Address.parse(text).private is private
