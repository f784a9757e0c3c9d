"""The adapters behind HAProxy and nginx: the address of the real client arrives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.adapters.front import LOCALHOST
from tests.adapters.test_clients import (
    Door,
    by_http,
    by_imap,
    by_smtp,
    by_ssh,
    door,
    twisted_door,
)
from tests.backends.fronts import FRONT, haproxy, nginx
from tests.backends.servers import Backend, running

__all__ = ["door", "twisted_door"]


@contextlib.contextmanager
def behind(make: Callable[[Path], Backend]) -> Iterator[int]:
    with running(make) as backend:
        yield backend.port


def check(door: Door) -> None:
    client = door.client()
    assert client.address == LOCALHOST
    assert client.port
    assert client.via == (FRONT,)
    assert client.private is client.encrypted


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
@pytest.mark.parametrize("own", [False, True])
def test_haproxy_in_front_of_smtp(door: Door, option: str, own: bool) -> None:
    more = {"proxy": "any"} if own else {"proxy_protocol_timeout": 5}
    server = door.smtp(trusted=(FRONT,), passwords_in_clear=True, **more)
    with behind(lambda folder: haproxy(folder, server, option)) as port:
        by_smtp(port)
        check(door)


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_of_ssh(door: Door, option: str) -> None:
    server = door.ssh(trusted=(FRONT,), proxy="any")
    with behind(lambda folder: haproxy(folder, server, option)) as port:
        by_ssh(port)
        check(door)


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_of_twisteds_imap(twisted_door: Door, option: str) -> None:
    server = twisted_door.twisted("imap", wrapped=True, trusted=(FRONT,))
    with behind(lambda folder: haproxy(folder, server, option)) as port:
        by_imap(port)
        check(twisted_door)


def test_nginx_in_front_of_http(door: Door) -> None:
    server = door.http(trusted_proxies=(FRONT,), passwords_in_clear=True)
    with behind(lambda folder: nginx(folder, server)) as port:
        assert by_http(port, ("X-Forwarded-For", "9.9.9.9")) == 200
        client = door.client()
        assert (client.address, client.via) == (LOCALHOST, (FRONT,))
        assert not client.private
