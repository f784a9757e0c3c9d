"""SCRAM bound to its TLS connection, on every listener that has TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from actorcred import Portal, ProtocolError, UnauthorizedLogin, rpc
from actorcred.checkers.memory import MemoryChecker
from actorcred.sasl.binding import served_binding
from actorcred.sasl.scram import end_point_binding
from tests.rpc.server.test_server import relay
from tests.rpc.stage import USERS, Game, authority, on_loop
from tests.settings import server_options


def context_of(issued: trustme.LeafCert, **settings: Any) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(made)
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def portal() -> Any:
    return Portal.start(
        Game.start([], []), [MemoryChecker.start(USERS, plaintext=True, scram_iterations=4096)]
    )


@pytest.mark.parametrize("kind", ["tls", "wss"])
@pytest.mark.parametrize("given", ["file", "context"])
@on_loop
async def test_each_algorithm_is_bound_whoever_listens_and_however_the_certificate_is_given(
    kind, given, tmp_path: Path
) -> None:
    issued, ca = authority().issue_cert("127.0.0.1"), tmp_path / "ca.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "here.pem"))
    authority().cert_pem.write_to_path(str(ca))
    where = f"{kind}:127.0.0.1:0" + (f"?cert={tmp_path}/here.pem" if given == "file" else "")
    context = context_of(issued) if given == "context" else None
    async with await rpc.serve(
        portal(),
        where,
        context=context,
        options=server_options(grace=0, legacy_mechanisms=("SCRAM-SHA-1",)),
    ) as server:
        address = f"{server.addresses[0]}?ca={ca}"
        for algorithm in ("SHA-1", "SHA-256", "SHA-512"):
            async with await rpc.connect(
                address,
                "ann",
                "s3cret",
                options=rpc.ClientOptions(mechanism=f"SCRAM-{algorithm}-PLUS"),
            ) as client:
                assert client.avatar_id == "ann"
            with pytest.raises(UnauthorizedLogin):
                await rpc.connect(
                    address,
                    "ann",
                    "wrong",
                    options=rpc.ClientOptions(mechanism=f"SCRAM-{algorithm}-PLUS"),
                )


@on_loop
async def test_a_websocket_that_is_passed_on_is_another_connection(tmp_path: Path) -> None:
    for name in ("here", "between"):
        issued = authority().issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    ca = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(ca))
    async with await rpc.serve(portal(), f"wss:127.0.0.1:0?cert={tmp_path}/here.pem") as server:
        stream = str(server.addresses[0]).replace("wss://", "tls://").removesuffix("/")
        async with relay(stream, tmp_path / "between.pem", ca) as port:
            far = f"wss://127.0.0.1:{port}/?ca={ca}"
            with pytest.raises(UnauthorizedLogin):
                await rpc.connect(
                    far, "ann", "s3cret", options=rpc.ClientOptions(mechanism="SCRAM-SHA-256-PLUS")
                )
            async with await rpc.connect(
                far, "ann", "s3cret", options=rpc.ClientOptions(mechanism="PLAIN")
            ) as client:
                assert client.avatar_id == "ann"


V = ssl.TLSVersion


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        ({}, True), ({"maximum_version": V.TLSv1_2}, True), ({"minimum_version": V.TLSv1_3}, True),
        ({"verify_mode": ssl.CERT_OPTIONAL}, True), ({"verify_mode": ssl.CERT_REQUIRED}, True),
        ({"verify_mode": ssl.CERT_REQUIRED, "maximum_version": V.TLSv1_2}, False),
    ],
)  # fmt: skip
def test_the_certificate_of_a_context_is_what_it_shows(
    settings: dict[str, Any], known: bool
) -> None:
    issued = authority().issue_cert("127.0.0.1")
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    assert served_binding(context_of(issued, **settings)) == (
        end_point_binding(der) if known else None
    )
    assert served_binding(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) is None


def test_a_renewed_certificate_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = authority().issue_cert("127.0.0.1"), authority().issue_cert("127.0.0.1")
    context = context_of(first)
    before = served_binding(context)
    second.configure_cert(context)
    assert served_binding(context) == before
    monkeypatch.setattr("actorcred.sasl.binding.FRESH", 0.0)
    assert served_binding(context) not in (before, None)


@on_loop
async def test_without_tls_there_is_nothing_to_be_bound_to() -> None:
    async with await rpc.serve(portal(), "tcp:127.0.0.1:0") as server:
        with pytest.raises(ProtocolError):
            await rpc.connect(
                str(server.addresses[0]),
                "ann",
                "s3cret",
                options=rpc.ClientOptions(mechanism="SCRAM-SHA-256-PLUS"),
            )
