"""The settings of a cluster refuse what would be unsafe or cannot work."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from actorcred.cluster.errors import BusError
from actorcred.cluster.settings import CutOff, NatsOptions

HERE = ("nats://127.0.0.1:4222",)


@pytest.mark.parametrize(
    "server",
    [
        "nats://127.0.0.1:4222",
        "nats://127.9.9.9",
        "nats://[::1]:4222",
        "nats://localhost:4222",
        "tls://nats.example:4222",
        "tls://192.0.2.1",
    ],
)
def test_an_address_on_this_machine_or_with_tls_is_accepted(server: str) -> None:
    assert NatsOptions(servers=(server,)).servers == (server,)


@pytest.mark.parametrize(
    "server",
    [
        "",
        "127.0.0.1:4222",
        "nats:",
        "nats://",
        "nats://:4222",
        "http://127.0.0.1",
        "ws://127.0.0.1",
        "nats://[::1",
        "nats://127.0.0.1:99999",
        "nats://127.0.0.1:port",
        "nats://127.0.0.1:0",
    ],
)
def test_what_is_no_address_of_nats_is_refused(server: str) -> None:
    with pytest.raises(BusError, match="nats://HOST:PORT or tls://HOST:PORT"):
        NatsOptions(servers=(*HERE, server))


def test_a_malformed_address_is_not_repeated_since_it_may_hold_a_password() -> None:
    with pytest.raises(BusError) as caught:
        NatsOptions(servers=("nat://me:hush@127.0.0.1",))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("who", ["me", "me:hush", ":hush"])
def test_a_user_or_a_password_in_an_address_is_refused_and_not_repeated(who: str) -> None:
    with pytest.raises(BusError, match="must not be in its address") as caught:
        NatsOptions(servers=(f"nats://{who}@127.0.0.1",))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("server", ["nats://192.0.2.1:4222", "nats://nats.example"])
def test_another_machine_needs_tls(server: str) -> None:
    with pytest.raises(BusError, match=r"must use TLS.*insecure"):
        NatsOptions(servers=(*HERE, server))


def test_another_machine_without_tls_is_a_choice() -> None:
    assert NatsOptions(servers=("nats://192.0.2.1",), insecure=True).insecure


def test_certificates_of_ones_own_are_tls_for_every_address() -> None:
    context = ssl.create_default_context()
    assert NatsOptions(servers=("nats://nats.example",), tls=context).tls is context


@pytest.mark.parametrize("cluster", ["", "a b", "a.b", "a*", "a>", "ü", "a\n", "a" * 33])
def test_a_name_that_would_be_another_subject_of_nats_is_refused(cluster: str) -> None:
    with pytest.raises(BusError, match="1 to 32 letters"):
        NatsOptions(servers=HERE, cluster=cluster)


@pytest.mark.parametrize("cluster", ["a", "A_b-9", "a" * 32])
def test_a_simple_name_is_accepted(cluster: str) -> None:
    assert NatsOptions(servers=HERE, cluster=cluster).cluster == cluster


@pytest.mark.parametrize("servers", [(), "nats://127.0.0.1:4222"])
def test_servers_are_a_tuple_that_is_not_empty(servers: Any) -> None:
    with pytest.raises(BusError, match="a tuple of strings"):
        NatsOptions(servers=servers)


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"replicas": 0}, {"timeout": float("inf")}])
def test_numbers_must_be_in_their_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NatsOptions(servers=HERE, **wrong)


@pytest.mark.parametrize("wrong", [{"timeout": "2"}, {"replicas": 1.5}, {"insecure": "no"}])
def test_types_must_be_right(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        NatsOptions(servers=HERE, **wrong)


def test_secrets_are_not_shown() -> None:
    options = NatsOptions(servers=HERE, user="me", password="hush", credentials=Path(__file__))
    assert "hush" not in repr(options)
    assert "credentials" not in repr(options)


def test_what_a_node_does_when_cut_off_is_said_by_a_word() -> None:
    words = ("end", "keep", "hold")
    assert [CutOff(word) for word in words] == [CutOff.END, CutOff.KEEP, CutOff.HOLD]


def test_a_credentials_file_that_is_not_there_is_named() -> None:
    with pytest.raises(BusError, match=r"no credentials file '/nowhere/my\.creds'"):
        NatsOptions(servers=("nats://127.0.0.1:1",), credentials=Path("/nowhere/my.creds"))
