"""The embedded account store."""

from __future__ import annotations

import contextlib
import shutil
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from actorcred import (
    AccountError,
    CheckerUnavailable,
    MissingExtra,
    PasswordRejected,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.checkers.bases.account_schema import SCHEMA, SCHEMA_VERSION
from actorcred.checkers.bases.polling import POLL
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.identity import Identity
from actorcred.passwords.hashing import hash_password
from actorcred.passwords.policy import PasswordPolicy
from actorcred.sasl.mechanism import Secrets
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS
from actorcred.sasl.scram import ScramSHA256, _scramp
from tests.helpers import Player, Stage, open_sqlite

LAX = PasswordPolicy(common=frozenset({"hunter2hunter2"}))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accounts.sqlite"


@pytest.fixture
def store(path, inline):
    store = SQLiteChecker.start(path, 4, LAX)
    store.add_account("ann", "correct horse").get()
    return store


@pytest.fixture
def stage(store):
    stage = Stage(checkers=0)
    stage.portal.register_checker(store).get()
    return stage


def test_accounts_are_added_changed_disabled_and_deleted(store, stage, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stage.login("ann", "correct horse").session.avatar_id == "ann"
    store.change_password("ann", "battery staple").get()
    for password in ("correct horse", "wrong"):
        with pytest.raises(UnauthorizedLogin):
            stage.login("ann", password)
    stage.login("ann", "battery staple")
    store.disable_account("ann").get()
    assert [(account.name, account.disabled) for account in store.accounts().get()] == [
        ("ann", True)
    ]
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "battery staple")
    store.enable_account("ann").get()
    stage.login("ann", "battery staple")
    store.delete_account("ann").get()
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "battery staple")
    assert store.accounts().get() == []


def test_what_cannot_be_done_is_said(store):
    for impossible in (store.disable_account, store.enable_account, store.delete_account):
        with pytest.raises(AccountError, match="no such account"):
            impossible("nobody").get()
    with pytest.raises(AccountError, match="no such account"):
        store.change_password("nobody", "battery staple").get()
    with pytest.raises(AccountError, match="there is an account 'ann' already"):
        store.add_account("ann", "battery staple").get()
    with pytest.raises(ValueError, match="controls"):
        store.add_account("a\nb", "battery staple").get()


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("short", "at least 8 characters"),
        ("", "at least 8 characters"),
        ("x" * 1025, "at most 1024 characters"),
        ("Hunter2Hunter2", "most common"),
        ("eight or\0 more", "NUL"),
    ],
)
def test_a_bad_new_password_is_refused_with_the_rule_that_it_breaks(store, password, rule):
    for attempt in (store.add_account("bob", password), store.change_password("ann", password)):
        with pytest.raises(PasswordRejected, match=rule) as refused:
            attempt.get()
        assert password == "" or password not in str(refused.value)


def test_the_common_passwords_are_those_of_a_real_list():
    policy = PasswordPolicy()
    for common in ("password", "12345678", "iloveyou", "Qwerty123"):
        with pytest.raises(PasswordRejected, match="most common"):
            policy.check(password=common)
    policy.check(password="\u2603" * 64)


def test_sixty_four_characters_of_any_kind_are_a_password(store, stage):
    for name, password in (
        ("emoji", "\U0001f600" * 64),
        ("spaces", " " * 64),
        ("umlauts", "\u00e4\u00f6\u00fc" * 30),
    ):
        store.add_account(name, password).get()
        assert stage.login(name, password).session.avatar_id == name
        with pytest.raises(UnauthorizedLogin):
            stage.login(name, password[:-1])


def test_live_sessions_end_when_their_account_does(store, stage):
    store.add_account("bob", "battery staple").get()
    ann, bob = stage.login("ann", "correct horse"), stage.login("bob", "battery staple")
    store.disable_account("ann").get()
    assert not ann.session.is_open
    assert bob.session.is_open
    store.change_password("bob", "another password").get()
    assert not bob.session.is_open


def test_a_change_by_another_process_ends_live_sessions_too(store, stage, path, inline):
    session = stage.login("ann", "correct horse").session
    inline.advance(POLL + 0.1)
    assert session.is_open
    other = SQLiteChecker.start(path, 4, LAX)
    other.delete_account("ann").get()
    inline.advance(POLL)

    assert not session.is_open


def test_a_hash_is_upgraded_at_login_when_the_cost_setting_has_risen(store, stage, path):
    def stored():
        with open_sqlite(path) as database:
            text = database.execute("SELECT hash FROM account").fetchone()[0]
        database.close()
        return text

    before = stored()
    stage.login("ann", "correct horse")
    assert stored() == before
    store.stop()
    stage.portal.register_checker(SQLiteChecker.start(path, 5, LAX)).get()
    stage.login("ann", "correct horse")

    assert stored().startswith("$2b$05$")
    stage.login("ann", "correct horse")
    assert stage.count() == 3  # an upgrade ends no session


def prove(stage, password="correct horse", name="ann"):
    """Log in by SCRAM; return the server's challenge, or None if it was refused."""
    client = CLIENT_MECHANISMS["SCRAM-SHA-256"](Secrets(name, password))
    exchange = ScramSHA256(client.start().decode())
    challenges = []
    exchange.on_challenge = challenges.append
    login = stage.portal.login(exchange, None, Player)
    exchange.respond(client.answer(challenges[0]))
    with contextlib.suppress(UnauthorizedLogin):
        login.get()
        client.finish(exchange.outcome)
        return challenges[0]
    return None


@pytest.fixture
def scram_stage(path, inline):
    stage = Stage(checkers=0, step=0)
    store = SQLiteChecker.start(path, 4, LAX, scram=True)
    stage.portal.register_checker(store).get()
    return stage, store


def test_hashes_and_what_scram_needs_live_side_by_side(scram_stage):
    stage, store = scram_stage
    store.add_account("ann", "correct horse").get()
    assert prove(stage)
    assert not prove(stage, "wrong horse")
    assert stage.login("ann", "correct horse")
    store.change_password("ann", "battery staple").get()
    assert not prove(stage)
    assert prove(stage, "battery staple")
    store.disable_account("ann").get()
    assert not prove(stage, "battery staple")
    assert not prove(stage, "battery staple", "nobody")


def test_an_account_without_it_gets_it_at_its_next_login(store, path, inline):
    store.stop()
    stage = Stage(checkers=0)
    stage.portal.register_checker(SQLiteChecker.start(path, 4, LAX, scram=True)).get()
    assert not prove(stage)
    stage.login("ann", "correct horse")
    assert prove(stage)


def test_a_hash_that_an_older_version_sets_makes_the_old_proof_worthless(scram_stage, path):
    stage, store = scram_stage
    store.add_account("ann", "correct horse").get()
    with open_sqlite(path) as database:
        database.execute(
            "UPDATE account SET hash = ?", (hash_password(password="battery staple", rounds=4),)
        )
    database.close()
    assert not prove(stage)
    stage.login("ann", "battery staple")
    assert prove(stage, "battery staple")


def test_scram_is_offered_when_every_account_has_what_it_needs(store, path, inline):
    store.add_account("old", "correct horse").get()
    store.disable_account("old").get()
    store.stop()
    stage = Stage(checkers=0)
    checker = SQLiteChecker.start(path, 4, LAX, scram=True)
    stage.portal.register_checker(CachingChecker.start(FirstOf.start(checker))).get()

    def offers(for_everybody=True):
        return (
            ScramSHA256
            in stage.portal.list_credentials_interfaces(for_everybody=for_everybody).get()
        )

    assert offers(False)
    assert not offers()
    stage.login("ann", "correct horse")
    assert offers()
    other = SQLiteChecker.start(path, 4, LAX)
    other.add_account("bob", "correct horse").get()
    assert offers()
    inline.advance(POLL + 0.1)
    assert not offers()
    other.disable_account("bob").get()
    inline.advance(POLL)
    assert offers()


def test_a_password_that_scram_cannot_carry_is_one_all_the_same(store, path, inline):
    emoji = "\U0001f600" * 8
    store.add_account("zoe", emoji).get()
    with pytest.raises(PasswordRejected, match="RFC 4013"):
        store.add_account("max", emoji, scram=True).get()
    store.stop()
    stage = Stage(checkers=0)
    stage.portal.register_checker(SQLiteChecker.start(path, 5, LAX, scram=True)).get()
    for _ in range(2):
        stage.login("zoe", emoji)
    assert not prove(stage, "something else", "zoe")


def test_a_store_of_the_first_version_is_upgraded(path, inline):
    with open_sqlite(path) as database:
        for statement in SCHEMA[0]:
            database.execute(statement)
        database.execute("PRAGMA user_version = 1")
        row = ("ann", hash_password(password="correct horse", rounds=4), 0, 0.0, 0.0)
        database.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    stage = Stage(checkers=0)
    stage.portal.register_checker(SQLiteChecker.start(path, 4, LAX)).get()
    assert stage.login("ann", "correct horse")


def test_what_is_damaged_lets_nobody_in_and_harms_no_other(scram_stage, path, caplog):
    stage, store = scram_stage
    for name in ("ann", "bob"):
        store.add_account(name, "correct horse").get()
    with open_sqlite(path) as database:
        database.execute("UPDATE account SET hash = 'damaged' WHERE name = 'ann'")
        database.execute("UPDATE account SET scram = 'damaged' WHERE name = 'ann'")
    database.close()
    for _ in range(5):
        assert not prove(stage)
        with pytest.raises(UnauthorizedLogin):
            stage.login("ann", "correct horse")
    assert prove(stage, name="bob")
    assert "'ann' cannot log in: plain text, or an unknown format" in caplog.text
    assert "'ann' cannot log in by SCRAM: a damaged SCRAM verifier" in caplog.text


def test_names_are_the_same_however_they_are_typed(store, stage):
    store.add_account("andre\u0301", "correct horse").get()
    store.change_password("andr\u00e9", "battery\u00a0staple").get()
    assert stage.login("andr\u00e9", "battery staple").session.avatar_id == "andr\u00e9"
    store.disable_account("andre\u0301").get()
    store.delete_account("\uff41\uff4e\uff44\uff52e\u0301").get()
    assert [account.name for account in store.accounts().get()] == ["ann"]


def test_accounts_outlive_the_program(store, stage, path):
    store.stop()
    again = SQLiteChecker.start(path, 4, LAX)
    stage.portal.register_checker(again).get()

    assert stage.login("ann", "correct horse").session.avatar_id == "ann"


def test_a_file_that_is_no_account_store_is_named(tmp_path, path, inline):
    path.write_text("this is no database, and a rather long text it is " * 50)
    with pytest.raises(
        AccountError, match=r"cannot open '.*accounts.sqlite': file is not a database"
    ):
        SQLiteChecker.start(path)
    with pytest.raises(AccountError, match="No such file"):
        SQLiteChecker.start(tmp_path / "no" / "such" / "folder")
    newer = tmp_path / "newer.sqlite"
    with open_sqlite(newer) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(
        AccountError, match=r"newer.sqlite' have schema version 99, made by a newer"
    ):
        SQLiteChecker.start(newer)
    other = tmp_path / "other.sqlite"
    with open_sqlite(other) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(AccountError, match=r"cannot open '.*other.sqlite': no such table"):
        SQLiteChecker.start(other)


@pytest.fixture
def of_schema_2(path):
    """Return the path of a copy of a store that actorcred made before accounts had roles."""
    shutil.copy(Path(__file__).parent / "files" / "accounts-2.sqlite", path)
    return path


def test_a_store_of_an_older_version_is_upgraded_with_all_accounts(of_schema_2, inline):
    store = SQLiteChecker.start(of_schema_2, 4, LAX)
    stage = Stage(checkers=0)
    stage.portal.register_checker(store).get()
    assert [
        (one.name, one.disabled, one.roles, one.last_login) for one in store.accounts().get()
    ] == [
        ("ann", False, frozenset(), None),
        ("bob", True, frozenset(), None),
    ]
    session = stage.login("ann", "correct horse").session
    assert (session.avatar_id, session.identity.last_login) == ("ann", None)
    store.set_roles("ann", ["moderator"]).get()
    store.stop()
    with open_sqlite(of_schema_2) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        ((roles, scram),) = database.execute("SELECT roles, scram FROM account WHERE name = 'ann'")
    database.close()
    assert (roles, scram[:14]) == ("moderator", "SCRAM-SHA-256$")


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(of_schema_2, inline):
    with open_sqlite(of_schema_2) as database:
        database.execute(
            "ALTER TABLE account ADD COLUMN last_login REAL"
        )  # the second of its steps
    database.close()
    with pytest.raises(AccountError, match="duplicate column name: last_login"):
        SQLiteChecker.start(of_schema_2)
    with open_sqlite(of_schema_2) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(account)")]
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
    database.close()
    assert "roles" not in columns


def test_roles_are_the_groups_of_a_users_identity(store, stage):
    store.add_account("bob", "battery staple", roles=["moderator", "admin"]).get()
    assert stage.login("bob", "battery staple").session.identity == Identity(
        "bob", groups=frozenset({"moderator", "admin"})
    )
    session = stage.login("ann", "correct horse").session
    assert session.identity.groups == frozenset()
    store.set_roles("ann", ["moderator"]).get()
    assert session.is_open
    assert stage.login("ann", "correct horse").session.identity.groups == {"moderator"}
    store.set_roles("ann", []).get()
    assert stage.login("ann", "correct horse").session.identity.groups == frozenset()
    assert store.find_account("bob").get().roles == {"moderator", "admin"}
    with pytest.raises(AccountError, match="no such account"):
        store.set_roles("nobody", ["x"]).get()


def test_each_login_tells_when_the_one_before_was(store, stage, path):
    first = stage.login("ann", "correct horse").session
    assert first.identity.last_login is None
    second = stage.login("ann", "correct horse").session.identity.last_login
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "wrong")
    third = stage.login("ann", "correct horse").session.identity.last_login
    assert second < third <= datetime.now(UTC)
    store.stop()  # what was not written yet is written
    again = SQLiteChecker.start(path, 4, LAX)
    stage.portal.register_checker(again).get()
    assert again.find_account("ann").get().last_login > third.timestamp()
    assert stage.login("ann", "correct horse").session.identity.last_login > third


def test_last_logins_are_written_with_the_next_poll_and_only_if_wanted(store, stage, path, inline):
    stage.login("ann", "correct horse")
    assert store.find_account("ann").get().last_login is None
    inline.advance(POLL)
    assert store.find_account("ann").get().last_login is not None
    quiet = SQLiteChecker.start(path, 4, LAX, last_login=False)
    other = Stage(checkers=0)
    other.portal.register_checker(quiet).get()
    for _ in range(2):
        assert other.login("ann", "correct horse").session.identity.last_login is None


def test_what_a_user_is_now_can_be_asked_without_a_login(path):
    store = SQLiteChecker(path, 4, LAX)  # the instance itself, as the portal's questions reach it
    store.database.execute(
        "INSERT INTO account (name, hash, created, changed, roles) VALUES ('ann', 'x', 0, 0, 'a b')"
    )
    assert store.current_identity("ann") == Identity("ann", groups=frozenset({"a", "b"}))
    store.database.execute("UPDATE account SET disabled = 1")
    assert store.current_identity("ann") is None
    assert store.current_identity("nobody") is None
    store.database.close()


def test_without_the_extra_scram_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scramp", None)
    _scramp.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'actorcred\[scram\]'"):
        SQLiteChecker.start(path, scram=True)
    assert not path.exists()


def test_a_store_that_breaks_makes_logins_unavailable(store, stage, path):
    with open_sqlite(path) as database:
        database.execute("ALTER TABLE account RENAME TO elsewhere")
    database.close()

    with pytest.raises(CheckerUnavailable):
        stage.login("ann", "correct horse")
    with pytest.raises(AccountError, match="the database failed"):
        store.add_account("bob", "battery staple").get()
    with open_sqlite(path) as database:
        database.execute("ALTER TABLE elsewhere RENAME TO account")
    database.close()
    assert stage.login("ann", "correct horse").interface is Player


def test_a_password_that_is_changed_while_the_old_one_is_verified_lets_nobody_in(
    store, stage, inline, monkeypatch
):
    original = SQLiteChecker.verify

    def verify(self, credentials, account):
        right = original(self, credentials, account)
        self._write("UPDATE account SET disabled = 1 WHERE name = 'ann'")
        return right

    monkeypatch.setattr(SQLiteChecker, "verify", verify)
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "correct horse")


def test_credentials_are_what_they_say():
    assert UsernamePassword(b"ann", b"x") == UsernamePassword("ann", "x")
    for wrong in ((b"\xff", "x"), ("x", b"\xff"), ("\ud800", "x")):
        with pytest.raises(UnauthorizedLogin) as refused:
            UsernamePassword(*wrong)
        assert "must be UTF-8" in refused.value.detail
    with pytest.raises(TypeError, match="must be str or bytes"):
        UsernamePassword(None, "x")


def test_an_account_is_found_by_its_name_in_any_form(store):
    store.add_account("andr\u00e9", "battery staple").get()

    assert store.find_account("andre\u0301").get().name == "andr\u00e9"
    for nobody in ("eve", "", "a\nb"):
        assert store.find_account(nobody).get() is None


def test_a_store_that_cannot_be_watched_says_so_and_serves_on(store, stage, path, inline, caplog):
    with open_sqlite(path) as database:
        database.execute("ALTER TABLE revocation RENAME TO elsewhere")
    inline.advance(2 * POLL)

    assert "The account store cannot be watched for changes: no such table" in caplog.text
    assert stage.login("ann", "correct horse").session.avatar_id == "ann"


def test_a_hash_that_cannot_be_upgraded_is_logged_and_the_user_is_in(
    store, path, inline, monkeypatch, caplog
):
    def fail(*_):
        raise LookupError("s3cret")

    store.stop()
    stage = Stage(checkers=0)
    stage.portal.register_checker(SQLiteChecker.start(path, 5, LAX)).get()
    monkeypatch.setattr("actorcred.checkers.sqlite._upgrade_secrets", fail)

    assert stage.login("ann", "correct horse").session.avatar_id == "ann"
    assert "The hash of 'ann' could not be upgraded: LookupError" in caplog.text
    assert "s3cret" not in caplog.text
