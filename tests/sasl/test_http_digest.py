"""HTTP Digest against the examples of RFC 7616 and RFC 2617, and against replays."""

from __future__ import annotations

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred import ProtocolError, UnauthorizedLogin
from actorcred.sasl.http_digest import (
    DigestAnswer,
    DigestGate,
    DigestRequest,
    StaleNonce,
    digest_of,
    parse_parameters,
)

GET = DigestRequest("GET", "/dir/index.html", "192.0.2.1")


def answer(
    challenge,
    name="Mufasa",
    password="Circle of Life",
    request=GET,
    count=1,
    qop="auth",
    drop=(),
    **changes,
):
    """Answer a challenge as a client does."""
    asked = parse_parameters(challenge)
    algorithm = asked["algorithm"]
    plain = algorithm.removesuffix("-sess")

    def h(text):
        raw = text if isinstance(text, bytes) else text.encode()
        return hashlib.new(
            {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}[plain], raw
        ).hexdigest()

    key = digest_of(plain, name, asked["realm"], password)
    if algorithm != plain:
        key = h(f"{key}:{asked['nonce']}:0a4f113b")
    what = f"{request.method}:{request.uri}" + (f":{h(request.body)}" if qop == "auth-int" else "")
    middle = f"{count:08x}:0a4f113b:{qop}:" if qop else ""
    given = {
        "username": f'"{name}"',
        "realm": f'"{asked["realm"]}"',
        "nonce": f'"{asked["nonce"]}"',
        "uri": f'"{request.uri}"',
        "response": f'"{h(key + ":" + asked["nonce"] + ":" + middle + h(what))}"',
        "opaque": f'"{asked["opaque"]}"',
        "algorithm": algorithm,
        **({"qop": qop, "nc": f"{count:08x}"} if qop else {}),
        "cnonce": '"0a4f113b"',
        **changes,
    }
    return "Digest " + ", ".join(
        f"{name}={value}" for name, value in given.items() if name not in drop
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm, response):
    header = (
        'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
        f'algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        "nc=00000001, "
        'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
        f'response="{response}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    made = DigestAnswer("Mufasa", algorithm, False, parse_parameters(header), GET)
    assert made.check_password(b"Circle of Life")
    assert not made.check_password(b"Circle of life")


def test_the_example_of_rfc_2617():
    header = (
        'Digest username="Mufasa", realm="testrealm@host.com", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", '
        'qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert DigestAnswer("Mufasa", "MD5", False, parse_parameters(header), GET).check_password(
        b"Circle Of Life"
    )


@pytest.mark.parametrize(
    "algorithm", ["MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess", "SHA-512-256-sess"]
)
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_each_algorithm_lets_the_right_password_in(algorithm, qop):
    gate = DigestGate("players", [algorithm], ["auth", "auth-int"])
    request = DigestRequest("POST", "/dir?x=1", "192.0.2.1", b"the body")
    (challenge,) = gate.challenges("192.0.2.1", 100.0)
    assert gate.read(answer(challenge, request=request, qop=qop), request, 101.0).check_password(
        b"Circle of Life"
    )
    wrong = answer(challenge, password="x", request=request, qop=qop, count=2)
    assert not gate.read(wrong, request, 101.0).check_password(b"Circle of Life")
    if qop == "auth-int":
        changed = DigestRequest("POST", "/dir?x=1", "192.0.2.1", b"another body")
        assert not gate.read(
            answer(challenge, request=request, qop=qop, count=3), changed, 101.0
        ).check_password(b"Circle of Life")


def test_names_beyond_ascii():
    gate = DigestGate("api", ["SHA-256"])
    (challenge,) = gate.challenges("", 0.0)
    request = DigestRequest("GET", "/")
    header = answer(challenge, "J\u00e4s\u00f8n", "pw", request).replace(
        'username="J\u00e4s\u00f8n"', "username*=UTF-8''J%C3%A4s%C3%B8n"
    )
    made = gate.read(header, request, 0.0)
    assert made.username == "J\u00e4s\u00f8n"
    assert made.check_password(b"pw")


@pytest.mark.parametrize("name", ["\u0436\u0435\u043d\u044f", "J\u00e4s\u00f8n"])
def test_names_and_realms_come_in_utf_8_however_the_server_hands_them_over(name):
    gate = DigestGate("\u0438\u0433\u0440\u043e\u043a\u0438", ["MD5"])
    request = DigestRequest("GET", "/\u0436?\u00e4".encode().decode("latin-1"))
    sent = DigestRequest("GET", "/\u0436?\u00e4")
    for hand_over in (lambda text: text, str.encode, lambda text: text.encode().decode("latin-1")):
        made = gate.read(
            hand_over(answer(gate.challenges("", 0.0)[0], name, "pw", sent)), request, 0.0
        )
        assert made.username == name
        assert made.check_password(b"pw")


def test_a_name_in_latin_1_is_hashed_as_utf_8():
    gate = DigestGate("api", ["MD5"])
    request = DigestRequest("GET", "/")
    header = answer(gate.challenges("", 0.0)[0], "J\u00e4s\u00f8n", "pw", request)
    made = gate.read(header.encode("latin-1"), request, 0.0)
    assert (made.username, made.check_password(b"pw")) == ("J\u00e4s\u00f8n", True)


@pytest.fixture
def gate():
    return DigestGate("players", ["MD5"], lifetime=60.0, remember=2)


def challenge_of(gate, now=100.0, address="192.0.2.1"):
    return gate.challenges(address, now)[0]


def test_a_count_is_good_once_in_whatever_order_they_come(gate):
    challenge = challenge_of(gate)
    for count in (1, 3, 2, 70, 69):
        assert gate.read(answer(challenge, count=count), GET, 101.0)
        with pytest.raises(StaleNonce):
            gate.read(answer(challenge, count=count), GET, 101.0)
    with pytest.raises(StaleNonce):
        gate.read(answer(challenge, count=4), GET, 101.0)  # too far behind to know


def test_without_a_count_a_nonce_is_good_once(gate):
    challenge = challenge_of(gate)
    assert gate.read(answer(challenge, qop="", drop=("cnonce",)), GET, 101.0).check_password(
        b"Circle of Life"
    )
    with pytest.raises(StaleNonce):
        gate.read(answer(challenge, qop="", drop=("cnonce",)), GET, 101.0)


def test_a_nonce_is_good_for_its_time_its_client_and_its_server(gate):
    challenge = challenge_of(gate)
    with pytest.raises(StaleNonce):
        gate.read(answer(challenge), GET, 161.0)
    with pytest.raises(StaleNonce):
        gate.read(answer(challenge), DigestRequest("GET", GET.uri, "192.0.2.2"), 101.0)
    with pytest.raises(StaleNonce):
        DigestGate("players", ["MD5"]).read(answer(challenge), GET, 101.0)
    assert "stale=true" in gate.challenges("", 0.0, stale=True)[0]


def test_a_nonce_that_was_forgotten_is_no_way_to_replay(gate):
    first = challenge_of(gate, 100.0)
    gate.read(answer(first), GET, 101.0)
    for now in (102.0, 103.0):
        gate.read(answer(challenge_of(gate, now)), GET, now)
    with pytest.raises(StaleNonce):
        gate.read(answer(first), GET, 104.0)


@pytest.mark.parametrize(
    "change",
    [
        {"drop": ("opaque",)},
        {"drop": ("response",)},
        {"drop": ("cnonce",)},
        {"drop": ("username",)},
        {"drop": ("nc",)},
        {"realm": '"others"'},
        {"algorithm": "SHA-256"},
        {"algorithm": "MD4"},
        {"qop": "auth-int"},
        {"uri": '"/other"'},
        {"nc": "1"},
        {"nc": "0000000g"},
        {"userhash": "true"},
        {"username*": "UTF-8''x"},
        {"response": '"x'},
    ],
)
def test_what_is_no_answer_is_refused(gate, change):
    header = answer(challenge_of(gate), **change)
    with pytest.raises(ProtocolError):
        gate.read(header, GET, 101.0)


def test_names_that_cannot_be_anybodys(gate):
    with pytest.raises(UnauthorizedLogin):
        gate.read(answer(challenge_of(gate), name="a\u202eb"), GET, 101.0)


def test_settings_that_make_no_sense():
    for wrong in (
        {"algorithms": ["MD4"]},
        {"algorithms": []},
        {"qops": ["none"]},
        {"lifetime": 0},
        {"remember": 0},
    ):
        with pytest.raises(ValueError, match=r"algorithm|needs|must"):
            DigestGate("players", **wrong)


@given(
    st.text(max_size=200)
    | st.text('Digest username="x",=*nonceqpaut \\', max_size=80).map("Digest {}".format)
)
def test_any_header_is_read_or_refused(header):
    gate = DigestGate("players", ["MD5"])
    with pytest.raises((ProtocolError, StaleNonce, UnauthorizedLogin)):
        gate.read(header, GET, 0.0)


@given(
    st.sampled_from(["username", "nonce", "nc", "opaque", "uri", "response", "cnonce", "qop"]),
    st.text(max_size=30),
)
def test_any_value_of_a_parameter_lets_nobody_in(name, value):
    gate = DigestGate("players", ["MD5"])
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    header = answer(challenge_of(gate), password="wrong", **{name: quoted})
    try:
        assert not gate.read(header, GET, 100.0).check_password(b"Circle of Life")
    except (ProtocolError, StaleNonce, UnauthorizedLogin):
        return


def test_a_count_far_ahead_costs_no_more_than_the_next_one(gate):
    """The gap of four billion was a shift by as many bits: 5 s of the loop, and a gigabyte."""
    challenge = challenge_of(gate)
    before = time.thread_time()
    for count in (1, 0xFFFF_0000, 0xFFFF_FFFF):
        assert gate.read(answer(challenge, count=count), GET, 101.0)
        with pytest.raises(StaleNonce):
            gate.read(answer(challenge, count=count), GET, 101.0)
    assert gate.read(answer(challenge, count=0xFFFF_FFF0), GET, 101.0)
    with pytest.raises(StaleNonce):
        gate.read(answer(challenge, count=0xFFFF_0000), GET, 101.0)
    assert time.thread_time() - before < 1.0


@pytest.mark.parametrize(
    "rest",
    [
        " " * 16_000 + "(",
        ", " * 8000 + "(",
        "\t,\t" * 5000 + "(",
        "a" * 16_000,
        "a" + " " * 16_000 + "(",
        "a=" + " " * 16_000 + "(",
        "a=b" + " " * 16_000 + "(",
        'a="' + "\\a" * 8000,
        'a="' + "\\" * 15_001,
        'a="b"' + " ," * 7900 + "(",
        "a=" + "b" * 16_000 + '"',
        "username*=utf-8''" + "%41" * 5000 + "'",
        "a=b," * 4000,
    ],
    ids=lambda rest: rest[:6] + rest[-2:],
)
def test_a_header_takes_the_time_of_its_length(rest):
    """Blanks before what is no name took the square of it: 1.9 s for one request."""
    before = time.thread_time()
    for _ in range(10):
        with pytest.raises(ProtocolError):
            DigestGate("players").read("Digest " + rest, GET, 0.0)
    assert time.thread_time() - before < 1.0


def test_a_header_that_is_no_text_is_refused():
    with pytest.raises(ProtocolError):
        parse_parameters('Digest username="\ud800"')
