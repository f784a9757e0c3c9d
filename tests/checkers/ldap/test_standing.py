"""What has become of entries of users who are logged in: a real slapd, and parts without one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from actorcred import CheckerUnavailable, UsernamePassword
from actorcred.checkers.ldap.standing import Entries, judge, password_time
from actorcred.standing import Revocation, named, with_proof
from tests.backends.directory import PEOPLE, STAFF, person, running_directory

ldap = pytest.importorskip(
    "ldap",
    reason="python-ldap is not installed: pip install 'actorcred[ldap]'; "
    "it needs libldap2-dev libsasl2-dev",
)
from actorcred.checkers.ldap.checker import LDAPChecker, LDAPSettings  # noqa: E402
from actorcred.checkers.ldap.settings import take_place  # noqa: E402

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    with running_directory(tmp_path_factory.mktemp("ldap")) as backend:
        connection = ldap.initialize(backend.url)
        connection.simple_bind_s("cn=admin,dc=example", "admin")
        # Without passwords that age, OpenLDAP does not keep when they were changed.
        aging = [(ldap.MOD_ADD, "pwdMaxAge", [b"31536000"])]
        connection.modify_s("cn=policy,dc=example", aging)
        connection.unbind_s()
        yield backend


@pytest.fixture
def admin(directory):
    """Yield a connection by which users are changed; what it adds is deleted."""
    connection = ldap.initialize(directory.url)
    connection.simple_bind_s("cn=admin,dc=example", "admin")
    added = []

    def add(name, **more):
        dn, attributes = person(f"uid={name},{PEOPLE}", name, **more)
        connection.add_s(
            dn, [(key, [one.encode() for one in values]) for key, values in attributes.items()]
        )
        added.append(dn)
        return dn

    connection.add = add
    yield connection
    for dn in added:
        try:
            connection.delete_s(dn)
        except ldap.NO_SUCH_OBJECT:
            continue
    connection.unbind_s()


@pytest.fixture
def made(directory):
    """Yield what makes a checker."""
    checkers = []

    def make(query="?uid", **settings):
        service = {"bind": "cn=admin,dc=example", "password": "admin"}
        checkers.append(
            LDAPChecker(
                f"{directory.url}/{PEOPLE}{query}", LDAPSettings(**{**service, **settings}), None
            )
        )
        return checkers[-1]

    yield make
    for checker in checkers:
        checker.on_stop()


def login(checker, name):
    """Return the name by which the portal asks about a login."""
    identity = checker.check(UsernamePassword(name, "right"))
    return identity.vouchers[0][1]


def test_an_entry_that_is_gone_or_does_not_match_any_more_is_told(made, admin):
    checker = made("?uid?sub?(sn=x)")
    names = {}
    for name in ("gina", "hugo", "ivan"):
        admin.add(name)
        names[name] = login(checker, name)
    assert checker.check_standing(tuple(names.values())).gone == {}

    admin.delete_s(f"uid=gina,{PEOPLE}")
    admin.modify_s(f"uid=hugo,{PEOPLE}", [(ldap.MOD_REPLACE, "sn", [b"y"])])
    assert checker.check_standing(tuple(names.values())).gone == {
        names["gina"]: Revocation.DELETED,
        names["hugo"]: Revocation.DELETED,
    }


def test_a_new_password_and_a_lock_by_the_administrator_are_told_and_a_guessers_is_not(made, admin):
    checker = made()
    names = {}
    for name in ("gina", "hugo", "ivan"):
        admin.add(name)
        names[name] = login(checker, name)
    changed = admin.search_s(f"uid=gina,{PEOPLE}", ldap.SCOPE_BASE, attrlist=["pwdChangedTime"])
    assert changed[0][1]["pwdChangedTime"]
    admin.modify_s(f"uid=gina,{PEOPLE}", [(ldap.MOD_REPLACE, "userPassword", [b"new"])])
    # Its clock has seconds only; a test need not wait for the next one.
    relax = ldap.controls.RelaxRulesControl()
    admin.modify_ext_s(
        f"uid=gina,{PEOPLE}",
        [(ldap.MOD_REPLACE, "pwdChangedTime", [b"20990101000000Z"])],
        serverctrls=[relax],
    )
    for name, when in (("hugo", b"000001010000Z"), ("ivan", b"20261128120000Z")):
        admin.modify_s(f"uid={name},{PEOPLE}", [(ldap.MOD_REPLACE, "pwdAccountLockedTime", [when])])
    assert checker.check_standing(tuple(names.values())).gone == {
        names["gina"]: Revocation.PASSWORD_CHANGED,
        names["hugo"]: Revocation.DISABLED,
    }


def test_who_is_no_longer_in_the_group_may_not_stay(made, admin):
    dn = admin.add("gina")
    checker = made(group=STAFF)
    admin.modify_s(STAFF, [(ldap.MOD_ADD, "member", [dn.encode()])])
    name = login(checker, "gina")
    assert checker.check_standing((name,)).gone == {}
    admin.modify_s(STAFF, [(ldap.MOD_DELETE, "member", [dn.encode()])])
    assert checker.check_standing((name,)).gone == {name: Revocation.DISABLED}


def test_new_attributes_are_told(made, admin):
    dn = admin.add("gina", mail=["gina@example.org"])
    checker = made(attributes=("mail",))
    name = login(checker, "gina")
    admin.modify_s(dn, [(ldap.MOD_REPLACE, "mail", [b"new@example.org"])])
    said = checker.check_standing((name,))
    assert said.gone == {}
    assert said.identities[name].attributes == {"mail": "new@example.org"}


def test_avatar_ids_of_another_attribute_and_in_other_normal_forms(made):
    checker = made(id="employeeNumber")
    name = login(checker, "kim")
    assert named(name)[0] == "4711"
    assert checker.check_standing((name, "4799")).gone == {"4799": Revocation.DELETED}
    plain = made()
    composed = login(plain, "jos\u00e9")
    assert plain.check_standing((composed, "twin", "lee", "o(dd)*,\\")).gone == {}


def test_a_directory_that_is_down_or_has_no_such_base_logs_nobody_out(directory, made):
    checker = made()
    name = login(checker, "kim")
    with directory.down(), pytest.raises(CheckerUnavailable):
        checker.check_standing((name,))
    assert checker.check_standing((name,)).gone == {}
    elsewhere = LDAPChecker(f"{directory.url}/ou=nowhere,dc=example?uid", LDAPSettings(), None)
    with pytest.raises(CheckerUnavailable):
        elsewhere.check_standing((name,))
    elsewhere.on_stop()


def test_without_a_search_it_is_not_asked(directory):
    assert not LDAPChecker.start(
        f"{directory.url}/{PEOPLE}?uid", LDAPSettings(dn=f"uid=%u,{PEOPLE}")
    ).tells_standing
    assert LDAPChecker.start(f"{directory.url}/{PEOPLE}?uid").tells_standing


# -- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({}, None),
        ({"useraccountcontrol": [b"512"]}, None),
        ({"useraccountcontrol": [b"514"]}, Revocation.DISABLED),
        ({"useraccountcontrol": [b"?"]}, None),
        ({"nsaccountlock": [b"TRUE"]}, Revocation.DISABLED),
        ({"accountexpires": [b"0"]}, None),
        ({"accountexpires": [b"nonsense"]}, None),
        ({"accountexpires": [b"9223372036854775807"]}, None),
        ({"accountexpires": [b"132539328000000000"]}, Revocation.DISABLED),
        ({"pwdchangedtime": [b"1"]}, Revocation.PASSWORD_CHANGED),
        ({"pwdlastset": [b"0"]}, None),
        ({"pwdaccountlockedtime": [b"000001010000Z"]}, Revocation.DISABLED),
    ],
)
def test_what_an_entry_says(entry, what):
    assert judge(with_proof("ann", b"0"), entry, NOW) is what
    assert judge("ann", entry, NOW) in {what, None}


def test_when_the_password_was_changed_is_the_first_that_a_directory_tells():
    assert password_time({"pwdlastset": [b"1"], "pwdchangedtime": [b"2"]}) == b"2"
    assert password_time({}) == b""


class Directory:
    def __init__(self, *found):
        self.found, self.filters = found, []

    def search(self, search):
        self.filters.append(search.filter)
        return self.found


def entries(directory, attribute):
    def values(entry, name):
        return [value.decode() for value in entry.get(name.lower(), ())]

    place = take_place(f"ldap://127.0.0.1/{PEOPLE}?uid", LDAPSettings())
    return Entries(directory, place, attribute, ("uid",), values)


def test_names_are_escaped_and_entries_that_cannot_be_read_are_nobodys():
    directory = Directory(("cn=x", {"uid": [b"\xff"]}), ("cn=y", {"uid": [b"a*"]}))
    assert entries(directory, "uid").find(["a*", "b"]) == {"a*": [("cn=y", {"uid": [b"a*"]})]}
    assert directory.filters == ["(&(objectClass=*)(|(uid=a\\2a)(uid=b)))"]


def test_the_guid_of_active_directory_is_asked_for_by_its_bytes():
    directory = Directory()
    name = "00112233-4455-6677-8899-aabbccddeeff"
    assert entries(directory, "objectGUID").find([name, "ann"]) == {}
    guid = "\\33\\22\\11\\00\\55\\44\\77\\66\\88\\99\\aa\\bb\\cc\\dd\\ee\\ff"
    parts = f"(objectGUID={guid})(objectGUID=ann)"
    assert directory.filters == [f"(&(objectClass=*)(|{parts}))"]
