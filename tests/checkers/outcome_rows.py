"""The rows of docs/reference/outcomes.md: each checker with each kind of credentials.

Their back ends are real, and can be taken away.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pyotp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import Certificate as X509Certificate

from actorcred import (
    Anonymous,
    BearerToken,
    Certificate,
    LoginFailed,
    Portal,
    PortalRef,
    ProtocolError,
    UsernamePassword,
)
from actorcred.checker import CheckerRef
from actorcred.checkers import (
    AllOf,
    AllowingChecker,
    AnonymousChecker,
    CachingChecker,
    CertificateChecker,
    DenyingChecker,
    ExternalChecker,
    FileChecker,
    FirstOf,
    HtdigestChecker,
    LDAPChecker,
    MemoryChecker,
    OTPChecker,
    RenamingChecker,
    SQLChecker,
    SQLiteChecker,
    SSHKeyChecker,
    ThrottlingChecker,
    TokenChecker,
)
from actorcred.checkers.bases.blocking import BackendLimits
from actorcred.checkers.key_files import FilePattern
from actorcred.checkers.ldap.checker import LDAPSettings
from actorcred.checkers.sql import UserTable
from actorcred.checkers.token import Fetching, TokenRules
from actorcred.credentials import Combined, ExternalIdentity, OneTimePassword
from actorcred.exchange import Exchange
from actorcred.identity import ClientInfo
from actorcred.passwords.hashing import hash_password
from actorcred.passwords.policy import PasswordPolicy
from actorcred.sasl.http_digest import DigestGate, DigestRequest, digest_of
from actorcred.sasl.mechanism import Challenge, Credentials, Secrets
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS, SERVER_MECHANISMS
from actorcred.testing import HOSTILE_NAMES, Hall, Visitor
from tests.backends.authority import Authority
from tests.backends.directory import PEOPLE, running_directory
from tests.backends.issuer import KEYS, RSA, Issuer
from tests.backends.servers import mariadb, postgresql, running
from tests.backends.ssh_keys import make_keys, private, proof, public
from tests.backends.system import System
from tests.backends.tables import fill
from tests.helpers import open_sqlite
from tests.sasl.test_http_digest import answer as digest_answer

COLUMNS = ("right", "wrong", "unknown user", "hostile name", "disabled", "down", "slow")
QUICK = BackendLimits(threads=2, timeout=0.5)
PATIENT = BackendLimits(timeout=30.0)
NOTHING = "-"
UNSENDABLE = "no such name in this protocol"


# -- presenting ------------------------------------------------------------------------------------


def password(name: str | bytes, secret: str) -> object:
    return UsernamePassword(name, secret)


def by_sasl(mechanism: str) -> Callable[[str | bytes, str], object]:
    """Return what makes credentials of a name and a password as a mechanism's client sends them."""

    def make(name: str | bytes, secret: str) -> object:
        text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
        client = CLIENT_MECHANISMS[mechanism](Secrets(text, secret))
        server = SERVER_MECHANISMS[mechanism](ClientInfo(encrypted=True))
        step = server.step(client.start())
        if isinstance(step, Challenge):
            step = server.step(client.answer(step.challenge))
        assert isinstance(step, Credentials)
        if isinstance(step.credentials, Exchange):
            step.credentials.client = client  # type: ignore[attr-defined]
        return step.credentials

    return make


GATE = DigestGate("players", ["MD5"])


def digest(name: str | bytes, secret: str) -> object:
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    request = DigestRequest("GET", "/", "127.0.0.1")
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    header = digest_answer(
        GATE.challenges("127.0.0.1", 0.0)[0], text, secret, request, username=f'"{quoted}"'
    )
    return GATE.read(header, request, 0.0)


def outcome(portal: PortalRef, make: Callable[[], object]) -> str:
    """Log in; return what came of it."""
    try:
        credentials = make()
        login = (
            converse(portal, credentials)
            if isinstance(credentials, Exchange)
            else portal.login(credentials, None, Visitor)
        )
        assert login.get(timeout=60).session.is_open
    except LoginFailed as error:
        return error.code
    except (ProtocolError, ValueError):
        return UNSENDABLE
    return "in"


def converse(portal: PortalRef, exchange: Any) -> Any:
    """Log in by an exchange, as a protocol and its client."""
    asked = threading.Event()
    challenges: list[bytes] = []
    exchange.on_challenge = lambda challenge: (challenges.append(challenge), asked.set())
    login = portal.login(exchange, None, Visitor)
    login.add_done_callback(lambda _: asked.set())
    assert asked.wait(30)
    if challenges:
        exchange.respond(exchange.client.answer(challenges[0]))
    return login


# -- the rows --------------------------------------------------------------------------------------

Fault = Callable[[], AbstractContextManager[Any]]


@dataclass
class Row:
    """One checker with one kind of credentials.

    Args:
        checker: the checker.
        right: makes credentials that let in.
        wrong: makes some of a kind that is wrong.
        unknown: makes some of nobody.
        named: makes right ones, but for the name.
        names: the hostile ones; where another service gives the names out, those that are no
            user's.
        disabled: makes right ones of an account that may not be used.
        down: takes the back end away.
        slow: lets it hang.
        quick: the same checker with less patience, for a back end that hangs; a busy machine must
            not be taken for one.
    """

    checker: CheckerRef
    right: Callable[[], object]
    wrong: Callable[[], object] | None = None
    unknown: Callable[[], object] | None = None
    named: Callable[[str | bytes], object] | None = None
    names: tuple[str | bytes, ...] = HOSTILE_NAMES
    disabled: Callable[[], object] | None = None
    down: Fault | None = None
    slow: Fault | None = None
    quick: CheckerRef | None = None

    def outcomes(self) -> dict[str, str]:
        portal = Portal.start(Hall.start(), [self.checker])
        found = dict.fromkeys(COLUMNS, NOTHING)
        for column, make in (
            ("right", self.right),
            ("wrong", self.wrong),
            ("unknown user", self.unknown),
        ):
            if make is not None:
                found[column] = outcome(portal, make)
        if self.named is not None:
            found["hostile name"] = self._hostile(portal)
        if self.disabled is not None:
            found["disabled"] = outcome(portal, self.disabled)
        impatient = portal if self.quick is None else Portal.start(Hall.start(), [self.quick])
        for column, fault, asked in (("down", self.down, portal), ("slow", self.slow, impatient)):
            if fault is not None:
                with fault():
                    found[column] = outcome(asked, self.right)
        return found

    def _hostile(self, portal: PortalRef) -> str:
        found = {name: outcome(portal, functools.partial(self.named, name)) for name in self.names}
        codes = set(found.values()) - {UNSENDABLE}
        assert len(codes) == 1, {
            str(name)[:50]: code
            for name, code in found.items()
            if code not in ("refused", UNSENDABLE)
        }
        return codes.pop()


def with_passwords(
    checker: CheckerRef, present: Callable[[str | bytes, str], object] = password, **more: Any
) -> Row:
    """Return the row of a checker that knows ann, whose password is "right".

    It perhaps knows old, too, who may not come in.
    """
    disabled = more.pop("disabled", "")
    return Row(
        checker,
        right=lambda: present("ann", "right"),
        wrong=lambda: present("ann", "wrong"),
        unknown=lambda: present("nobody", "right"),
        named=lambda name: present(name, "right"),
        disabled=(lambda: present(disabled, "right")) if disabled else None,
        **more,
    )


@contextlib.contextmanager
def gone(path: Path) -> Iterator[None]:
    """Take a file away for a while."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextlib.contextmanager
def without_table(path: Path, table: str) -> Iterator[None]:
    def run(statement: str) -> None:
        with open_sqlite(path) as database:
            database.execute(statement)

    run(f"ALTER TABLE {table} RENAME TO elsewhere")
    try:
        yield
    finally:
        run(f"ALTER TABLE elsewhere RENAME TO {table}")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Write to a database in another connection, and do not come to an end."""
    with open_sqlite(path) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


def memory(
    present: Callable[[str | bytes, str], object], *, plaintext: bool = True
) -> Callable[[Path], Row]:
    return lambda folder: with_passwords(
        MemoryChecker.start({"ann": "right"}, plaintext=plaintext, rounds=4), present
    )


def file(folder: Path) -> Row:
    path, made = folder / "users.htpasswd", hash_password(password="right", rounds=4)
    path.write_text(f"ann:{made}\nold:!{made}\n")
    return with_passwords(FileChecker.start(path), disabled="old", down=lambda: gone(path))


def htdigest(present: Callable[[str | bytes, str], object]) -> Callable[[Path], Row]:
    def make(folder: Path) -> Row:
        path = folder / "users.htdigest"
        path.write_text(f"ann:players:{digest_of('MD5', 'ann', 'players', 'right')}\n")
        return with_passwords(HtdigestChecker.start(path), present, down=lambda: gone(path))

    return make


def sqlite(present: Callable[[str | bytes, str], object]) -> Callable[[Path], Row]:
    def make(folder: Path) -> Row:
        path = folder / "accounts.db"
        checker = SQLiteChecker.start(path, 4, PasswordPolicy(min_length=1, common=()), scram=True)
        for name in ("ann", "old"):
            checker.add_account(name, "right").get(timeout=30)
        checker.disable_account("old").get(timeout=30)
        faults = {"down": lambda: without_table(path, "account"), "slow": lambda: locked(path)}
        return with_passwords(checker, present, disabled="old", **faults)

    return make


def sql(server: Any) -> Callable[[Path], Any]:
    """Return the row of SQLChecker; it has users of each hash, and "ann" with bcrypt."""

    @contextlib.contextmanager
    def make(folder: Path) -> Iterator[Row]:
        if server is None:
            url = f"sqlite:///{folder / 'users.db'}"
            fill(url)
            down = {"down": lambda: without_table(folder / "users.db", "users")}
            yield with_passwords(
                SQLChecker.start(url, UserTable(active="is_active")), disabled="old", **down
            )
            return
        with running(server) as backend:
            fill(backend.url)
            faults = {"down": backend.down, "slow": backend.frozen}
            yield with_passwords(
                sql_checker(backend), disabled="old", quick=sql_checker(backend, QUICK), **faults
            )

    return make


def sql_checker(backend: Any, limits: BackendLimits = PATIENT) -> CheckerRef:
    return SQLChecker.start(backend.url, UserTable(active="is_active"), limits)


def ldap(**settings: Any) -> Callable[[Path], Any]:
    @contextlib.contextmanager
    def make(folder: Path) -> Iterator[Row]:
        pytest.importorskip(
            "ldap", reason="python-ldap is not installed: pip install 'actorcred[ldap]'"
        )
        with running_directory(folder) as backend:
            checker, quick = (
                LDAPChecker.start(f"{backend.url}/{PEOPLE}", LDAPSettings(**settings), limits)
                for limits in (PATIENT, QUICK)
            )
            yield with_passwords(
                checker, disabled="locked", down=backend.down, slow=backend.frozen, quick=quick
            )

    return make


def ssh_key(folder: Path) -> Row:
    make_keys(folder)
    users = folder / "users"
    users.mkdir()
    (users / "ann").write_text(public(folder, "ed25519"))
    (users / "old").write_text(f'expiry-time="20200101" {public(folder, "ed25519")}')
    key, other, answers = private(folder, "ed25519"), private(folder, "other"), threading.Event()
    answers.set()
    pattern = FilePattern(f"{users}/%u")

    def look_up(name: str) -> str | None:
        answers.wait(30)
        return pattern(name)

    @contextlib.contextmanager
    def down() -> Iterator[None]:
        with gone(users):
            users.touch()  # in which no file can be read, not even by root
            yield
            users.unlink()

    return Row(
        SSHKeyChecker.start(look_up, PATIENT),
        right=lambda: proof(key),
        wrong=lambda: proof(other),
        unknown=lambda: proof(key, "nobody"),
        named=lambda name: proof(key, name),
        disabled=lambda: proof(key, "old"),
        down=down,
        slow=lambda: hanging(answers),
        quick=SSHKeyChecker.start(look_up, QUICK),
    )


@contextlib.contextmanager
def hanging(answers: threading.Event) -> Iterator[None]:
    answers.clear()
    try:
        yield
    finally:
        answers.set()


@contextlib.contextmanager
def token(folder: Path) -> Iterator[Row]:
    def sign(key: Any = RSA, algorithm: str = "RS256", **claims: Any) -> BearerToken:
        made = {"sub": "ann", "exp": int(time.time()) + 60, **claims}
        return BearerToken(jwt.encode(made, key, algorithm, headers={"kid": "first"}))

    rules = TokenRules(issuer="any", audience="any")
    with contextlib.closing(Issuer()) as issuer:
        checker, quick = (
            TokenChecker.start(issuer.url, rules, limits=limits, fetching=Fetching(lifespan=1e-9))
            for limits in (PATIENT, QUICK)
        )

        @contextlib.contextmanager
        def down() -> Iterator[None]:
            issuer.text = "no JSON"
            yield
            issuer.text = text

        text = issuer.text
        yield Row(
            checker,
            right=sign,
            wrong=lambda: sign(KEYS["ES256"], "ES256"),
            named=lambda name: sign(sub=name),
            names=("", "\0", "ann\n", "ann\u202e"),
            disabled=lambda: sign(exp=1),
            down=down,
            slow=lambda: hanging(issuer.hangs),
            quick=quick,
        )


def certificate(folder: Path) -> Row:
    authority = Authority()
    ca, crl = folder / "ca.pem", folder / "crl.pem"
    ca.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    revoked = authority.issue(cn="old")
    crl.write_bytes(authority.revoke(revoked))

    def present(made: X509Certificate) -> Certificate:
        return Certificate(made.public_bytes(serialization.Encoding.DER), {})

    return Row(
        CertificateChecker.start(ca, "cn", crl),
        right=lambda: present(authority.issue()),
        wrong=lambda: present(Authority().issue()),
        named=lambda name: present(authority.issue(cn=name)),
        names=("ann\0", "ann\n", "ann\u202e"),
        disabled=lambda: present(revoked),
        down=lambda: gone(crl),
    )


def otp(folder: Path) -> Row:
    codes, path = Codes(), folder / "codes.db"

    def used() -> OneTimePassword:
        credentials = OneTimePassword("old", codes.next())
        with open_sqlite(path) as database:
            database.execute("UPDATE otp SET last = ? WHERE name = 'old'", (int(codes.now) // 30,))
        return credentials

    return Row(
        codes.start(folder),
        right=lambda: OneTimePassword("ann", codes.next()),
        wrong=lambda: OneTimePassword("ann", "x"),
        unknown=lambda: OneTimePassword("nobody", codes.next()),
        named=lambda name: OneTimePassword(name, codes.next()),
        disabled=used,
        down=lambda: without_table(path, "otp"),
        slow=lambda: locked(path),
    )


def around_sql(
    wrap: Callable[[CheckerRef, Path], CheckerRef],
    present: Any = password,
    *,
    remembers: bool = False,
) -> Callable[[Path], Any]:
    """Return the row of a checker around one that asks PostgreSQL."""

    @contextlib.contextmanager
    def make(folder: Path) -> Iterator[Row]:
        with running(postgresql) as backend:
            fill(backend.url)
            checker = wrap(sql_checker(backend), folder)
            quick = None if remembers else wrap(sql_checker(backend, QUICK), folder)
            yield with_passwords(
                checker,
                present,
                disabled="old",
                down=backend.down,
                slow=backend.frozen,
                quick=quick,
            )

    return make


class Codes:
    """A clock of which every look is in another period, and the code of that period."""

    def __init__(self) -> None:
        self.now, self.totp = 0.0, pyotp.TOTP(pyotp.random_base32())

    def start(self, folder: Path) -> CheckerRef:
        checker = OTPChecker.start(folder / "codes.db", lambda: self.now)
        for name in ("ann", "old"):
            checker.enrol(name, secret=self.totp.secret).get(timeout=10)
        return checker

    def next(self) -> str:
        self.now += 60
        return str(self.totp.at(int(self.now)))


def second_factor(present: Callable[[str | bytes, str, str], object]) -> Callable[[Path], Any]:
    codes = Codes()
    return around_sql(
        lambda inner, folder: AllOf.start(inner, codes.start(folder)),
        lambda name, secret: present(name, secret, codes.next()),
    )


def both(name: str | bytes, secret: str, code: str) -> object:
    return Combined((UsernamePassword(name, secret), OneTimePassword(name, code)))


@contextlib.contextmanager
def unix(folder: Path) -> Iterator[Any]:
    pytest.importorskip("pam", reason="python-pam is not installed: pip install 'actorcred[pam]'")
    system = System(folder)

    class Rows:
        def outcomes(self) -> dict[str, str]:
            names = [name for name in HOSTILE_NAMES if isinstance(name, str)]
            pairs = [("ann", "right"), ("ann", "wrong"), ("nobody", "right"), ("expired", "right")]
            right, wrong, unknown, disabled, *hostile = system.check(
                "unix:game", *pairs, *((name, "right") for name in names)
            )
            assert set(hostile) == {"refused"}
            (down,) = system.check("unix:broken", ("ann", "right"))
            (slow,) = system.check("unix[timeout=0.5]:slow", ("ann", "right"))
            values = (
                "in" if right == "ann" else right,
                wrong,
                unknown,
                hostile[0],
                disabled,
                down,
                slow,
            )
            return dict(zip(COLUMNS, values, strict=True))

    yield Rows()


ROWS: dict[tuple[str, str], Callable[[Path], Any]] = {
    ("AnonymousChecker", "Anonymous"): lambda folder: Row(AnonymousChecker.start(), Anonymous),
    ("ExternalChecker", "ExternalIdentity"): lambda folder: Row(
        ExternalChecker.start(), lambda: ExternalIdentity("ann")
    ),
    ("MemoryChecker", "UsernamePassword"): memory(password, plaintext=False),
    ("MemoryChecker, plaintext", "UsernamePassword"): memory(password),
    ("MemoryChecker, plaintext", "CRAM-MD5"): memory(by_sasl("CRAM-MD5")),
    ("MemoryChecker, plaintext", "HTTP Digest"): memory(digest),
    ("MemoryChecker, plaintext", "SCRAM-SHA-1"): memory(by_sasl("SCRAM-SHA-1")),
    ("MemoryChecker, plaintext", "SCRAM-SHA-256"): memory(by_sasl("SCRAM-SHA-256")),
    ("FileChecker", "UsernamePassword"): file,
    ("HtdigestChecker", "UsernamePassword"): htdigest(password),
    ("HtdigestChecker", "HTTP Digest"): htdigest(digest),
    ("SQLiteChecker", "UsernamePassword"): sqlite(password),
    ("SQLiteChecker", "SCRAM-SHA-256"): sqlite(by_sasl("SCRAM-SHA-256")),
    ("SQLChecker, SQLite", "UsernamePassword"): sql(None),
    ("SQLChecker, PostgreSQL", "UsernamePassword"): sql(postgresql),
    ("SQLChecker, MariaDB", "UsernamePassword"): sql(mariadb),
    ("LDAPChecker, search", "UsernamePassword"): ldap(),
    ("LDAPChecker, bind", "UsernamePassword"): ldap(dn=f"uid=%u,{PEOPLE}"),
    ("UnixChecker", "UsernamePassword"): unix,
    ("SSHKeyChecker", "SSHKey"): ssh_key,
    ("TokenChecker, JWKS at a URL", "BearerToken"): token,
    ("CertificateChecker", "Certificate"): certificate,
    ("OTPChecker", "OneTimePassword"): otp,
    ("FirstOf", "UsernamePassword"): around_sql(
        lambda inner, _: FirstOf.start(inner, MemoryChecker.start(rounds=4))
    ),
    ("AllOf, password and code", "Combined"): second_factor(both),
    ("AllOf, password and code", "UsernamePassword"): second_factor(
        lambda name, secret, code: password(name, secret + code)
    ),
    ("CachingChecker", "UsernamePassword"): around_sql(
        lambda inner, _: CachingChecker.start(inner), remembers=True
    ),
    ("ThrottlingChecker", "UsernamePassword"): around_sql(
        lambda inner, _: ThrottlingChecker.start(inner)
    ),
    ("RenamingChecker", "UsernamePassword"): around_sql(
        lambda inner, _: RenamingChecker.start(inner, str.upper)
    ),
    ("AllowingChecker", "UsernamePassword"): around_sql(
        lambda inner, _: AllowingChecker.start(inner, ["ann"])
    ),
    ("DenyingChecker", "UsernamePassword"): around_sql(
        lambda inner, _: DenyingChecker.start(inner, ["old"])
    ),
}
