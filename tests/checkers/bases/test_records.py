"""A record, or a stranger's input, that cannot be used.

Its user is refused as an unknown one is, and the others log in.
"""

from __future__ import annotations

import base64
import hmac

import jwt
import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred import (
    BearerToken,
    LoginFailed,
    Portal,
    ProtocolError,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.checkers.bases.records import Complaints
from actorcred.checkers.file import FileChecker, FileFormat
from actorcred.checkers.htdigest import HtdigestChecker
from actorcred.checkers.otp import OTPChecker
from actorcred.checkers.sql import SQLChecker, UserTable
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.checkers.token import TokenChecker, TokenRules
from actorcred.credentials import OneTimePassword
from actorcred.names import prepare_password, prepare_username
from actorcred.passwords.hashing import hash_password
from actorcred.passwords.policy import PasswordPolicy
from actorcred.sasl.http_digest import digest_of
from actorcred.sasl.scram import ScramSHA256
from tests.backends.servers import mariadb, postgresql, running
from tests.backends.tables import fill
from tests.helpers import Arena, Player, open_sqlite
from tests.passwords.test_formats import BAD

GOOD = hash_password(password="hush", rounds=4)
TEXTS = {
    name: stored
    for name, stored in BAD.items()
    if isinstance(stored, str) and "\ud800" not in stored
}
ODD = {
    "cheap": "$2b$03$" + "a" * 21 + "u" + "b" * 31,
    "costly": "$2b$31$" + "a" * 21 + "u" + "b" * 31,
    "endless": "pbkdf2_sha256$99999999$salt$" + base64.b64encode(bytes(32)).decode(),
    "apr1": "$apr1$y",
    "scrypt": "$scrypt$ln=1,r,p=1$aa$bb",
    "nothing": None,
    "bytes": b"\xff\xfe",
    "number": 7,
}


def serve(checker):
    return Portal.start(Arena.start([]), [checker])


def login(portal, name, password="hush"):
    return (
        portal.login(UsernamePassword(name, password), None, Player)
        .get(timeout=30)
        .session.avatar_id
    )


def outcome(portal, credentials):
    with pytest.raises(LoginFailed) as failed:
        portal.login(credentials, None, Player).get(timeout=30)
    return failed.value.code


# -- files -----------------------------------------------------------------------------------------


def test_a_file_with_all_kinds_of_damaged_hashes_serves_the_others(tmp_path, caplog):
    """They stand before the good ones.

    An unknown user is verified against the first hash that can be.
    """
    path = tmp_path / "users"
    lines = [f"user{number}:{stored}\n" for number, stored in enumerate(TEXTS.values())]
    path.write_text("".join([*lines, f"bob:{GOOD}\n"]))
    portal = serve(FileChecker.start(path))
    for name in ("user0", "user1", f"user{len(lines) - 1}", *["nobody"] * 6):
        assert outcome(portal, UsernamePassword(name, "hush")) == "refused"
    assert login(portal, "bob") == "bob"
    assert f"{path}, line 1: 'user0' cannot log in: a hash with cost out of bounds" in caplog.text
    assert "bbbb" not in caplog.text


def test_a_line_in_another_encoding_is_one_line(tmp_path, caplog):
    users, digests = tmp_path / "users", tmp_path / "digests"
    users.write_bytes(f"andr\u00e9:{GOOD}\n".encode("latin-1") + f"bob:{GOOD}\n".encode())
    digest = digest_of("MD5", "bob", "game", "hush")
    digests.write_bytes(
        f"andr\u00e9:game:{digest}\n".encode("latin-1") + f"bob:game:{digest}\n".encode()
    )
    for checker, path in (
        (FileChecker.start(users), users),
        (HtdigestChecker.start(digests), digests),
    ):
        portal = serve(checker)
        assert login(portal, "bob") == "bob"
        assert outcome(portal, UsernamePassword("andr\u00e9", "hush")) == "refused"
        assert f"{path}, line 1" in caplog.text


def test_a_file_that_is_mended_is_read_again(tmp_path):
    path = tmp_path / "users"
    path.write_text(f"ann:{TEXTS['passlib scrypt without numbers']}\nbob:{GOOD}\n")
    portal = serve(FileChecker.start(path))
    assert outcome(portal, UsernamePassword("ann", "hush")) == "refused"
    path.write_bytes(f"\ufeffann:{GOOD}\n".encode("utf-16-be"))
    assert outcome(portal, UsernamePassword("bob", "hush")) == "unavailable"
    path.write_text(f"ann:{GOOD}\nbob:{GOOD}\n")
    assert login(portal, "ann") == "ann"


def test_a_function_of_the_application_that_fails_for_one_record_fails_for_no_other(
    tmp_path, caplog
):
    def check(name, password, stored):
        return password[int(stored) :]

    path = tmp_path / "users"
    path.write_text("ann:no number\nbob:0\n")
    portal = serve(FileChecker.start(path, FileFormat(hash_function=check)))
    for name in ("ann", "nobody") * 3:
        assert outcome(portal, UsernamePassword(name, "hush")) == "refused"
    assert login(portal, "bob", "0") == "bob"
    assert "no number" not in caplog.text


# -- databases -------------------------------------------------------------------------------------


@pytest.fixture
def odd_rows(tmp_path):
    path = tmp_path / "users.db"
    with open_sqlite(path) as database:
        database.execute("CREATE TABLE users (username, password)")
        database.executemany("INSERT INTO users VALUES (?, ?)", [*ODD.items(), ("bob", GOOD)])
        database.execute("INSERT INTO users VALUES ('text', CAST(x'2432ff' AS TEXT))")
    return f"sqlite:///{path}"


def test_a_row_that_cannot_be_used_is_refused_and_named_once(odd_rows, caplog):
    portal = serve(SQLChecker.start(odd_rows))
    for name in (*ODD, "text", "nobody") * 2:
        assert outcome(portal, UsernamePassword(name, "hush")) == "refused"
        assert (
            login(portal, "bob") == "bob"
        )  # what an unknown user costs is that of a hash that can be verified
    for name in (*ODD, "text"):
        assert caplog.text.count(f"'{name}' cannot log in") == 1


def test_a_name_in_the_database_that_cannot_be_an_avatar_id_is_refused(tmp_path):
    path = tmp_path / "users.db"
    with open_sqlite(path) as database:
        database.execute("CREATE TABLE users (login, name, password)")
        rows = [
            ("number", 7),
            ("control", "a\nb"),
            ("nothing", None),
            ("empty", ""),
            ("bob", "bob"),
        ]
        database.executemany("INSERT INTO users VALUES (?, ?, ?)", [(*row, GOOD) for row in rows])
    query = "SELECT name, password FROM users WHERE login = :username"
    portal = serve(SQLChecker.start(f"sqlite:///{path}", UserTable(query=query)))
    for name in ("number", "control", "nothing", "empty"):
        assert outcome(portal, UsernamePassword(name, "hush")) == "refused"
    assert login(portal, "bob") == "bob"


def test_a_query_that_returns_too_little_is_unavailable_for_every_name_alike(odd_rows):
    portal = serve(
        SQLChecker.start(
            odd_rows, UserTable(query="SELECT password FROM users WHERE username = :username")
        )
    )
    assert {outcome(portal, UsernamePassword(name, "hush")) for name in ("bob", "nobody")} == {
        "unavailable"
    }


def latin1_postgresql(backend):
    engine = sqlalchemy.create_engine(backend.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            sqlalchemy.text("CREATE DATABASE old ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        )
    engine.dispose()
    return backend.url.replace("/postgres", "/old")


def latin1_client(backend):
    fill(backend.url)
    return backend.url.replace("charset=utf8mb4", "charset=latin1")


@pytest.mark.parametrize(
    ("make", "database"), [(postgresql, latin1_postgresql), (mariadb, latin1_client)]
)
def test_a_name_that_the_databases_encoding_does_not_have_is_nobodys(tmp_path, make, database):
    with running(make) as backend:
        url = database(backend)
        if make is postgresql:
            fill(url)
        portal = serve(SQLChecker.start(url))
        assert login(portal, "ann", "right") == "ann"
        for _ in range(6):
            for name in ("\u0436", "\u6f22\u5b57", "\U00020000", "x" * 1023):
                assert outcome(portal, UsernamePassword(name, "x")) == "refused"
        assert login(portal, "andr\u00e9", "sn\u00f6 \u2603") == "andr\u00e9"
        assert login(portal, "ann", "right") == "ann"


def test_damaged_rows_of_the_account_store(tmp_path, caplog):
    path = tmp_path / "accounts.db"
    store = SQLiteChecker.start(
        path, 4, PasswordPolicy(min_length=1, common=frozenset()), scram=True
    )
    for name in ("ann", "bob", "cleo"):
        store.add_account(name, "hush").get(timeout=30)
    with open_sqlite(path) as database:
        database.execute(
            "UPDATE account SET hash = CAST(x'2432ff' AS TEXT), scram = 7 WHERE name = 'ann'"
        )
        database.execute(
            "UPDATE account SET hash = x'00ff', scram = 'SCRAM-SHA-256$1:AAAA$AAAA:AAAA' "
            "WHERE name = 'cleo'"
        )
        database.execute("INSERT INTO revocation (name, what) VALUES ('ann', 'of the future')")
    portal = serve(store)
    for name in ("ann", "cleo") * 3:
        assert outcome(portal, UsernamePassword(name, "hush")) == "refused"
        exchange = ScramSHA256(f"n,,n={name},r=nonce")
        exchange.on_challenge = lambda _, exchange=exchange: exchange.respond(
            b"c=biws,r=nonce,p=AAAA"
        )
        assert outcome(portal, exchange) == "refused"
    assert login(portal, "bob") == "bob"
    for name in ("ann", "cleo"):
        assert caplog.text.count(f"'{name}' cannot log in: ") == 1


@pytest.mark.parametrize("secret", ["", "1", "no base32!", "\u00e9", "AAAA====A", b"\xff\x00", 7.5])
def test_a_damaged_secret_for_codes_is_its_users_matter(tmp_path, secret):
    path = tmp_path / "codes.db"
    checker = OTPChecker.start(path, lambda: 59.0)
    checker.enrol("bob", secret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").get(timeout=10)
    with open_sqlite(path) as database:
        database.execute("INSERT INTO otp VALUES ('ann', ?, -1)", (secret,))
    portal = serve(checker)
    for _ in range(6):
        assert outcome(portal, OneTimePassword("ann", "287082")) == "refused"
    assert (
        portal.login(OneTimePassword("bob", "287082"), None, Player)
        .get(timeout=10)
        .session.avatar_id
        == "bob"
    )


def test_an_old_apps_short_secret_works_with_any_package(tmp_path):
    checker = OTPChecker.start(tmp_path / "codes.db", lambda: 59.0)
    address = checker.enrol("ann", secret="gezd gnbv gy3t qojq").get(timeout=10)
    assert "secret=GEZD" in address
    portal = serve(checker)
    mac = hmac.digest(b"1234567890", (1).to_bytes(8, "big"), "sha1")
    code = f"{(int.from_bytes(mac[mac[-1] & 15 :][:4], 'big') & 0x7FFFFFFF) % 10**6:06}"
    assert (
        portal.login(OneTimePassword("ann", code), None, Player).get(timeout=10).session.avatar_id
        == "ann"
    )
    with pytest.raises(ValueError, match="80 bits"):
        checker.enrol("bob", secret="GEZDGNBV").get(timeout=10)


# -- what strangers send ---------------------------------------------------------------------------

SECRET = "0123456789abcdef0123456789abcdef"


def part(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_tokens_that_are_odd_beyond_the_librarys_own_errors_are_refused():
    portal = serve(
        TokenChecker.start(
            rules=TokenRules(algorithms=("HS256",), issuer="any", audience="any"), secret=SECRET
        )
    )
    good = jwt.encode({"sub": "ann", "exp": 4_000_000_000}, SECRET, "HS256")
    headers = [
        b"[" * 12_000,
        b'{"a":' * 2400,
        b"[]",
        b"7",
        b"{" + b"x" * 5000,
        b'{"alg":{}}',
        b'{"alg":"HS256","crit":7}',
        b"\xff",
    ]
    claims = [
        {"exp": 10**400},
        {"exp": float("inf")},
        {"exp": {}},
        {"exp": "\u0661"},
        {"sub": {"a": 1}},
        {"sub": "a\nb"},
        {"sub": 7.5},
        {"sub": True},
        {"sub": [7]},
    ]
    odd = [f"{part(raw)}.e30.x" for raw in headers] + ["\ud800.e30.x", "." * 16_000, "x" * 16_000]
    odd += [
        jwt.encode({"sub": "ann", "exp": 4_000_000_000, **changed}, SECRET, "HS256")
        for changed in claims
    ]
    for token in odd:
        assert outcome(portal, BearerToken(token)) == "refused"
    assert portal.login(BearerToken(good), None, Player).get(timeout=10).session.avatar_id == "ann"


@given(
    st.text(max_size=60)
    | st.text(
        "\u30fb\u5b57\u0660\u06f0\u200c\u0628\u00b7l\u0375\u05f4\u05d0\u0301\uff21e", max_size=20
    )
)
@settings(max_examples=500)
def test_names_and_passwords_are_prepared_as_the_library_does(text):
    from precis_i18n import get_profile

    def by_library(profile, value):
        try:
            return get_profile(profile).enforce(value)
        except UnicodeEncodeError:
            return None

    def by_us(prepare, value):
        try:
            return prepare(value)
        except ValueError:
            return None

    if text:
        assert by_us(prepare_password, text) == by_library("OpaqueString", text)
    if text and " " not in text:
        assert by_us(prepare_username, text) == by_library("UsernameCasePreserved", text)


@pytest.mark.parametrize(
    "password",
    [
        "\u30fb" * 5400 + "\u5b57",
        "\u0660" * 8000,
        "\u0628" + "\u200c\u0628" * 2700,
        "a" + "\u0301\u0316" * 4000,
        "\u0f73" * 5000,
    ],
)
@pytest.mark.timeout(10)
def test_the_longest_password_is_prepared_in_no_time(password):
    """They took 10 to 40 s, or sorted marks for a quarter of a second.

    All other clients waited as long for each.
    """
    for _ in range(20):
        try:
            assert prepare_password(password) == password
        except ValueError as error:
            assert "combining marks" in str(error)


@pytest.mark.timeout(10)
def test_a_long_name_by_scram_is_refused_before_it_is_prepared():
    for name in (
        "\u5b57" * 8000,
        "a" * 8000,
        "\u0301\u0316" * 4000,
        "\u5b57" * 1900,
        "a" * 1900,
        "\u0301\u0316" * 900,
    ):
        for _ in range(100):
            with pytest.raises((ProtocolError, UnauthorizedLogin)):
                ScramSHA256(f"n,,n={name},r=nonce")


def test_a_flood_of_bad_records_takes_no_memory_for_ever(monkeypatch, caplog):
    monkeypatch.setattr("actorcred.checkers.bases.records.REMEMBERED", 2)
    complaints = Complaints()
    for name in ("ann", "ann", "bob", "cleo", "ann"):
        complaints.about(name, "a damaged hash", "by password")

    assert [record.getMessage().split()[0] for record in caplog.records] == [
        "'ann'", "'bob'", "'cleo'", "'ann'"
    ]  # fmt: skip
