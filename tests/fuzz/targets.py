"""The fuzz targets: functions of bytes that raise only if there is a bug.

Documented errors are valid results. No target looks at a clock: slow inputs are found by the
fuzzer (`-timeout`).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from actorcred.auth.descriptors import ArgString, Descriptor, DescriptorError, parse_descriptor
from actorcred.checkers.sshkey import SSHKeyChecker
from actorcred.checkers.token import TokenChecker, TokenRules
from actorcred.credentials import BearerToken, SSHKey
from actorcred.errors import ProtocolError, UnauthorizedLogin
from actorcred.exchange import Exchange, ScramVerifier, UsernameHashedPassword, UsernameScram
from actorcred.fronts.clients import by_headers, by_proxy_header
from actorcred.fronts.proxy_header import LONGEST, ProxyHeader, ProxyHeaderError
from actorcred.fronts.trusted import ForwardingHeader, TrustedProxy
from actorcred.identity import ClientInfo, TLSInfo
from actorcred.passwords.hashing import UnsupportedHash, check_format, verify_password
from actorcred.rpc.protocol.codec import JSON, MSGPACK, Codec, Request, WireLimits
from actorcred.rpc.protocol.connection import Connection
from actorcred.sasl.http_digest import DigestGate, DigestRequest, StaleNonce
from actorcred.sasl.mechanism import Credentials, Secrets
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS, SERVER_MECHANISMS
from actorcred.sasl.scram import make_verifier
from tests.fuzz.portal import drive
from tests.fuzz.source import Source

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """One target.

    Args:
        run: takes an input.
        seeds: the initial inputs.
        longest: maximum length of an input in bytes.
    """

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    longest: int = 2048


# -- proxies -------------------------------------------------------------------------------------


def proxy(data: bytes) -> None:
    """PROXY headers, as they arrive."""
    for versions in (frozenset({1, 2}), frozenset({1}), frozenset({2})):
        with contextlib.suppress(ProxyHeaderError):
            header = ProxyHeader.parse(data, versions)
            if header is None:
                assert len(data) < LONGEST
                continue
            assert header.size <= len(data)
            assert ProxyHeader.parse(data[: header.size], versions) == header
            assert by_proxy_header(ClientInfo(), header).private == (header.tls is not None)


def forwarding(data: bytes) -> None:
    """Forwarded and X-Forwarded-For: what a client wrote further left changes nothing."""
    text, _, protos = data.decode("latin-1").partition("\n")
    for header in ForwardingHeader:
        trusted = TrustedProxy(("10.0.0.0/8",), header=header)
        _reported(trusted, text, protos)
        own = "for=1.2.3.4;proto=https" if header is ForwardingHeader.FORWARDED else "1.2.3.4"
        client = _reported(trusted, f"{text},{own}", protos)
        assert (client.address, client.via) == ("1.2.3.4", ("10.0.0.1",))


def _reported(trusted: TrustedProxy, said: str, protos: str) -> ClientInfo:
    values = {"x-forwarded-proto": [protos]}
    front = ClientInfo(address="10.0.0.1")
    return by_headers(front, trusted, lambda name: values.get(name, [said]))[0]


# -- the wire ------------------------------------------------------------------------------------

LIMITS = WireLimits(frame=4096, nesting=8, string=1024, items=64, keys=16, pending=8)


def _feed(codec: Codec, framed: bool, data: bytes) -> None:
    """Feed one input, cut into pieces by its first byte."""
    step = 1 + data[0] % 64 if data else 1
    connection = Connection(codec, LIMITS, framed=framed)
    pieces = (
        [data[1:]]
        if framed
        else [data[begin : begin + step] for begin in range(1, len(data), step)]
    )
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            for message in connection.receive(piece):
                if isinstance(message, Request):
                    connection.answer(message.id, None)


def wire(data: bytes) -> None:
    """MessagePack as a stream, and in frames."""
    _feed(MSGPACK, bool(data[:1] > b"\x7f"), data)


def wire_json(data: bytes) -> None:
    _feed(JSON, True, data)


# -- SASL ----------------------------------------------------------------------------------------

BINDING = ("tls-server-end-point", bytes(range(32)))
CLIENTS = (
    ClientInfo(encrypted=True),
    ClientInfo(encrypted=True, tls=TLSInfo(binding=BINDING)),
)
VERIFIERS = {
    name: make_verifier("secret", 4096, bytes(16), algorithm=name)
    for name in ("SHA-512", "SHA-256", "SHA-1")
}


def sasl_server(data: bytes) -> None:
    """A client's messages to any mechanism, then to a checker that knows the user or does not."""
    source = Source(data)
    mechanism = SERVER_MECHANISMS[source.choice(sorted(SERVER_MECHANISMS))](source.choice(CLIENTS))
    known = bool(source.number() % 2)
    with contextlib.suppress(ProtocolError, UnauthorizedLogin):
        step: Any = None
        while source.more and not isinstance(step, Credentials):
            step = mechanism.step(None if source.number() == 0 else source.chunk())
        if isinstance(step, Credentials):
            _check(step.credentials, known, source)


def _check(credentials: object, known: bool, source: Source) -> None:
    if isinstance(credentials, UsernameHashedPassword):
        assert not credentials.check_password(b"secret") or known
    if isinstance(credentials, UsernameScram):
        _challenge(credentials, VERIFIERS[credentials.algorithm] if known else None, source)


def _challenge(exchange: UsernameScram, verifier: ScramVerifier | None, source: Source) -> None:
    answers: list[bool] = []
    assert isinstance(exchange, Exchange)
    exchange.iterations = 4096
    exchange.check(verifier, answers.append)
    exchange.respond(source.chunk())
    assert answers == [False], "an answer that was made without the password is taken for right"


def sasl_client(data: bytes) -> None:
    """A server's challenges to any mechanism."""
    source = Source(data)
    secrets = Secrets("ann", "secret", "token", binding=source.choice((None, BINDING)))
    name = source.choice(sorted(CLIENT_MECHANISMS))
    with contextlib.suppress(ProtocolError):
        mechanism = CLIENT_MECHANISMS[name](secrets)
        mechanism.start()
        while source.more:
            challenge = source.chunk()
            if source.number() % 2:
                mechanism.finish(challenge)
            elif b"i=" not in challenge or re.search(
                rb"i=\d{1,4}(,|$)", challenge
            ):  # the server chooses the cost
                mechanism.answer(challenge)


# -- strings of deployers and of stores ----------------------------------------------------------


def descriptors(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    if "${file:" in text:
        return  # the file would be read
    with contextlib.suppress(DescriptorError):
        _walk(parse_descriptor(text), 20)
    with contextlib.suppress(DescriptorError):
        ArgString.of(text).fields(":")


def _walk(descriptor: Descriptor, depth: int) -> None:
    descriptor.argument.fields(":")
    with contextlib.suppress(DescriptorError):
        for inner in descriptor.argument.groups() if depth else ():
            _walk(inner, depth - 1)


def hashes(data: bytes) -> None:
    """Hashes that pass the check can be verified, and none matches an unrelated password."""
    text = data.decode("utf-8", "replace")
    try:
        check_format(hash=text)
    except UnsupportedHash:
        return
    if _is_cheap(text):
        assert not verify_password(password="\U0001f984 nobody's", hash=text)


def _is_cheap(text: str) -> bool:
    """Return whether all costs in a hash are low enough to verify thousands."""
    if text.startswith(("$2", "$bcrypt")):
        return re.search(r"(?:^\$2.\$|,r=)0?[0-5]\$", text) is not None
    return all(int(number) <= 2048 for number in re.findall(r"\d+", text[: text.rfind("$")]))


# -- what clients send by other protocols --------------------------------------------------------

REQUEST = DigestRequest("GET", "/", "192.0.2.1")


def digest(data: bytes) -> None:
    """Headers of HTTP Digest; {nonce} and {opaque} in them stand for those of a challenge."""
    gate = DigestGate("login", ("SHA-256", "MD5", "SHA-256-sess"), ("auth", "auth-int"))
    asked = dict(re.findall(r'(nonce|opaque)="([^"]*)"', gate.challenges(REQUEST.address, 1.0)[0]))
    for line in data.decode("latin-1").split("\n")[:8]:
        header = line.replace("{nonce}", asked["nonce"]).replace("{opaque}", asked["opaque"])
        with contextlib.suppress(ProtocolError, StaleNonce, UnauthorizedLogin):
            assert not gate.read(header, REQUEST, 2.0).check_password(b"\xf0\x9f\xa6\x84 nobody's")


def _checker(started: Any) -> Any:
    """Return the actor itself, for direct calls without a mailbox."""
    return started.actor_inbox.actor


_KEYS = ["", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"]
_keys = _checker(SSHKeyChecker.start(lambda name: _KEYS[0]))


def ssh(data: bytes) -> None:
    """Public keys, signatures and lines of authorized_keys."""
    source = Source(data)
    _KEYS[0] = source.text() if source.number() % 2 else _KEYS[1]
    with contextlib.suppress(UnauthorizedLogin):
        credentials = SSHKey("ann", source.chunk(), b"signed by nobody", source.chunk())
        raise AssertionError(f"{_keys.check(credentials)} came in without a key")


SECRET = "0123456789abcdef0123456789abcdef"
_tokens = _checker(
    TokenChecker.start(
        "", TokenRules(algorithms=("HS256",), issuer="here", audience="game"), secret=SECRET
    )
)


def tokens(data: bytes) -> None:
    """Any string as a token, or any JSON as the claims of a signed one."""
    if data[:1] > b"\x7f":
        with contextlib.suppress(UnauthorizedLogin):
            raise AssertionError(
                f"{_tokens.check(BearerToken(data[1:].decode('utf-8', 'replace')))} "
                "came in without a signature"
            )
        return
    with contextlib.suppress(ValueError, RecursionError):
        header, _, claims = data[1:].partition(b"\n")
        extra = json.loads(header or b"{}")
        signed = jwt.api_jws.encode(
            claims, SECRET, "HS256", extra if isinstance(extra, dict) else None
        )
        with contextlib.suppress(UnauthorizedLogin):
            assert _tokens.check(BearerToken(signed))


def portal(data: bytes) -> None:
    """Messages of protocols and of the application to a portal, and the answers of its roles."""
    drive(Source(data))


# -- all targets ---------------------------------------------------------------------------------


def _chunks(*parts: bytes | int) -> bytes:
    """Return bytes that a `Source` reads as these numbers and chunks."""
    return b"".join(
        bytes([part]) if isinstance(part, int) else _size(len(part)) + part for part in parts
    )


def _size(size: int) -> bytes:
    return bytes([size]) if size < 255 else b"\xff" + size.to_bytes(2, "big")


def _strings(*parts: bytes) -> bytes:
    """Return some strings in SSH's encoding."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _server(name: str, *messages: bytes) -> bytes:
    said = [part for message in messages for part in (1, message)]
    return bytes([sorted(SERVER_MECHANISMS).index(name), 0, 1]) + _chunks(*said)


def _client(name: str, *challenges: bytes) -> bytes:
    said = [part for challenge in challenges for part in (challenge, 0)]
    return bytes([0, sorted(CLIENT_MECHANISMS).index(name)]) + _chunks(*said)


_HEADER = (
    b'Digest username="ann", realm="login", nonce="{nonce}", uri="/", '
    b'response="00", opaque="{opaque}", '
    b"qop=auth, cnonce=a, nc=00000001, algorithm=SHA-256"
)
_CLAIMS = b'{}\n{"sub": "ann", "exp": 9999999999, "iss": "here", "aud": "game"}'

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

TARGETS = {
    "proxy": Target(
        proxy,
        (
            b"PROXY TCP4 198.51.100.7 192.0.2.1 5000 25\r\n",
            b"PROXY TCP6 2001:db8::7 ::1 5000 25\r\nEHLO",
            b"PROXY UNKNOWN\r\n",
            _SIGNATURE + b"\x21\x11\0\x0c" + bytes(range(12)),
            _SIGNATURE + b"\x21\x21\0\x24" + bytes(range(36)),
            _SIGNATURE + b"\x21\x11\0\x1e" + bytes(12) + b"\x20\0\x0f\1\0\0\0\0\x21\0\7TLSv1.3",
            _SIGNATURE + b"\x21\x11\0\x13" + bytes(12) + b"\3\0\4abcd",
            _SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),
            _SIGNATURE + b"\x20\0\0\0",
        ),
        6000,
    ),
    "forwarded": Target(
        forwarding,
        (
            b'for="[2001:db8::7]:80";proto=https, for=10.0.0.1',
            b'for="a\\"b, c";x="\nhttps, http',
            b"9.9.9.9, 198.51.100.7:80, 10.0.0.1\nhttps",
            b"unknown, _x, [::1]:5\nwss",
        ),
        4096,
    ),
    "wire": Target(
        wire,
        (
            b"\x00\x94\x00\x01\xa4echo\x91\x01",
            b"\xff\x94\x01\x01\xc0\xc0",
            b"\x05\x93\x02\xa1x\x91\x81\xa1a\x90",
        ),
        6000,
    ),
    "json": Target(
        wire_json,
        (b'\x00[0,1,"echo",[1,{"a":[null,true,1.5]}]]', b"\x00[1,1,null,null]", b'\x00[2,"x",[]]'),
        6000,
    ),
    "sasl-server": Target(
        sasl_server,
        (
            _server("PLAIN", b"\0ann\0secret"),
            _server("SCRAM-SHA-256", b"n,,n=ann,r=abc") + _chunks(b"c=biws,r=abc,p=AAAA"),
            _server("SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=ann,r=abc"),
            _server("CRAM-MD5", b"ann 00000000000000000000000000000000"),
            _server("OAUTHBEARER", b"n,a=ann,\1auth=Bearer abc\1\1"),
            _server("ANONYMOUS", b"me"),
        ),
    ),
    "sasl-client": Target(
        sasl_client,
        (
            _client("SCRAM-SHA-256", b"r=abc,s=AAAA,i=4096", b"v=AAAA"),
            _client("CRAM-MD5", b"<1.2@localhost>"),
            _client("OAUTHBEARER", b'{"status":"invalid_token"}'),
        ),
    ),
    "descriptors": Target(
        descriptors,
        (
            b"file:players",
            b"cache[seconds=60]:(ldap:ldaps://h/x?uid)",
            rb"memory:a\:b:c",
            b"all:(file:a)(otp[x=${env:HOME}]:b)",
        ),
    ),
    "hashes": Target(
        hashes,
        (
            b"$2b$04$" + b"." * 53,
            b"$bcrypt-sha256$v=2,t=2b,r=4$" + b"." * 22 + b"$" + b"." * 31,
            b"{SHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
            b"$apr1$abcdefgh$" + b"." * 22,
            b"$5$rounds=1000$abc$" + b"." * 43,
            b"$6$rounds=1000$abc$" + b"." * 86,
            b"$scrypt$ln=4,r=1,p=1$YWJj$" + b"A" * 43,
            b"scrypt$16$salt$1$1$" + b"A" * 86 + b"==",
            b"pbkdf2_sha256$1$salt$" + b"A" * 43 + b"=",
            b"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + b"A" * 43,
        ),
        512,
    ),
    "digest": Target(
        digest,
        (_HEADER, _HEADER + b"\n" + _HEADER.replace(b"00000001", b"ffffffff"), b"Digest a=b"),
        2048,
    ),
    "ssh": Target(
        ssh,
        (
            _chunks(
                0, _strings(b"ssh-rsa", b"\x80", b"\0" + b"\xb1" * 256), _strings(b"ssh-rsa", b"x")
            ),
            _chunks(0, _strings(b"ssh-rsa", b"\3", b"\xff"), _strings(b"rsa-sha2-256", b"x")),
            _chunks(
                0, _strings(b"ssh-ed25519", bytes(range(32))), _strings(b"ssh-ed25519", bytes(64))
            ),
            _chunks(
                0,
                _strings(b"ecdsa-sha2-nistp256", b"nistp256", b"\4" + bytes(64)),
                _strings(b"ecdsa-sha2-nistp256", b"x"),
            ),
            _chunks(0, _strings(b"ssh-ed25519-cert-v01@openssh.com", b"nonce", bytes(32)), b""),
            _chunks(1, b'from="10.0.0.0/8",expiry-time="20300101" ssh-ed25519 AAAA', b"", b""),
        ),
    ),
    "tokens": Target(
        tokens, (b"\0" + _CLAIMS, b"\0" + _CLAIMS.replace(b"ann", b"\\u0000"), b"\xffa.b.c")
    ),
    "portal": Target(
        portal, (bytes(range(60)), bytes(range(255, 100, -1)), b"\0\0\0\0\1\1\1\1\2\2\2\2\3\3\3\3")
    ),
}
