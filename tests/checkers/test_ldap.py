"""Users in an LDAP directory: a real slapd, with TLS, groups, and all that can go wrong with it."""

from __future__ import annotations

import unicodedata
import uuid
from datetime import UTC, datetime

import hypothesis
import pytest
from hypothesis import strategies as st

from actorcred import AccountError, CheckerUnavailable, Portal, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.blocking import BackendLimits
from actorcred.checkers.ldap.checker import LDAPChecker, LDAPSettings
from actorcred.checkers.ldap.directory import LDAPDirectory
from actorcred.checkers.ldap.groups import in_chain
from actorcred.names import prepare_username
from tests.backends.directory import PASSWORDS, PEOPLE, STAFF, running_directory
from tests.backends.servers import eventually
from tests.helpers import Arena, Player, until

ldap = pytest.importorskip(
    "ldap",
    reason="python-ldap is not installed: pip install 'actorcred[ldap]'; "
    "it needs libldap2-dev libsasl2-dev",
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    with running_directory(tmp_path_factory.mktemp("ldap")) as backend:
        yield backend


def serve(checker):
    return Portal.start(Arena.start([]), [checker])


def login(portal, name="ann", password="right"):
    return (
        portal.login(UsernamePassword(name, password), None, Player)
        .get(timeout=30)
        .session.avatar_id
    )


WRONG = [
    ("ann", "wrong"), ("nobody", "right"), ("ann", ""), ("locked", "x"), ("locked", ""),
    ("twin", "right"), ("*", "right"), ("triplet", "right"),
    ("ann)(uid=*", "right"), ("a*", "right"), ("(&)", "right"), (f"ann,{PEOPLE}", "right"),
    ("ann+cn=ann", "right"), ("\\61nn", "right"),
]  # fmt: skip


@pytest.mark.parametrize("settings", [LDAPSettings(), LDAPSettings(dn=f"uid=%u,{PEOPLE}"),
                                      LDAPSettings(bind="cn=admin,dc=example", password="admin")],
                         ids=["search", "bind", "service"])  # fmt: skip
def test_the_right_password_lets_in_and_nothing_else(directory, settings):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}?uid", settings))
    for name, password in PASSWORDS.items():
        assert login(portal, name, password) == name
    assert login(portal, "ANN") == "ann"  # as the directory has it
    for name, password in WRONG:
        with pytest.raises(UnauthorizedLogin):
            login(portal, name, password)
    assert login(portal) == "ann"


@pytest.mark.parametrize(
    "settings", [LDAPSettings(), LDAPSettings(dn=f"uid=%u,{PEOPLE}")], ids=["search", "bind"]
)
def test_any_other_name_lets_nobody_in(directory, settings):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}?uid", settings))

    @hypothesis.given(st.text(max_size=20) | st.text('an()*\\&|=,+"<>;#\0 ', max_size=10))
    @hypothesis.settings(max_examples=100, deadline=None)
    def check(name):
        try:
            assert login(portal, name) == prepare_username(name).casefold() == "ann"
        except UnauthorizedLogin:
            return

    check()


@hypothesis.given(st.text(max_size=40) | st.text("ldapsi:/?=,%()&host", max_size=40))
@hypothesis.settings(deadline=None)  # the first call imports the plugins
def test_any_url_is_one_or_refused_by_name(text):
    try:
        from_string(f"ldap:{text}").stop()
    except AccountError:
        return


def test_the_server_would_take_an_empty_password(directory):
    """Or the suite could not show that none is sent."""
    import ldap

    connection = ldap.initialize(directory.url)
    connection.simple_bind_s(f"uid=ann,{PEOPLE}", "")
    connection.unbind_s()


def test_tls_and_starttls_need_a_certificate_that_counts(directory):
    for text in (
        f"ldap[ca={directory.ca}]:{directory.tls_url}/{PEOPLE}",
        f"ldap[starttls=yes,ca={directory.ca}]:{directory.url}/{PEOPLE}",
    ):
        portal = serve(from_string(text))
        assert login(portal) == "ann"
        with pytest.raises(UnauthorizedLogin):
            login(portal, "ann", "wrong")
    for text in (
        f"ldap:{directory.tls_url}/{PEOPLE}",
        f"ldap[starttls=yes]:{directory.url}/{PEOPLE}",
    ):
        with pytest.raises(CheckerUnavailable):
            login(serve(from_string(text)))


def test_members_of_a_group_only(directory, tmp_path):
    (tmp_path / "secret").write_text("admin\n")
    for more in ("", r"dn=uid=%u\,ou=people\,dc=example,"):
        text = (
            f"ldap[{more}bind=cn=admin\\,dc=example,password=${{file:{tmp_path}/secret}},"
            "group=cn=staff\\,dc=example]"
        )
        portal = serve(from_string(f"{text}:{directory.url}/{PEOPLE}"))
        assert login(portal) == "ann"
        with pytest.raises(UnauthorizedLogin):
            login(portal, "bob", "hush")
    portal = serve(
        LDAPChecker.start(f"{directory.url}/{PEOPLE}", LDAPSettings(group="cn=none,dc=example"))
    )
    with pytest.raises(UnauthorizedLogin):
        login(portal)


MODES = pytest.mark.parametrize("dn", ["", f"uid=%u,{PEOPLE}"], ids=["search", "bind"])


@MODES
def test_a_name_is_found_in_any_normal_form(directory, dn):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}", LDAPSettings(dn=dn)))
    for form in ("NFC", "NFD"):
        assert login(portal, unicodedata.normalize(form, "jos\u00e9")) == "jos\u00e9"


def test_a_person_with_several_names_is_one_avatar_id(directory):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}"))
    assert {login(portal, name) for name in ("kim", "a.kim", "KIM")} == {"kim"}  # that of the DN
    assert {login(portal, name) for name in ("wu", "lee", "Lee")} == {"lee"}
    portal = serve(from_string(f"ldap[id=employeeNumber]:{directory.url}/{PEOPLE}"))
    assert {login(portal, name) for name in ("kim", "a.kim", "KIM")} == {"4711"}
    portal = serve(from_string(f"ldap[id=employeeNumber]:{directory.url}/{PEOPLE}?mail"))
    assert {login(portal, name) for name in ("lee@example.org", "WU@example.org")} == {"4712"}


@MODES
def test_who_has_no_avatar_id_is_refused_and_the_log_says_so(directory, dn, caplog):
    portal = serve(
        LDAPChecker.start(f"{directory.url}/{PEOPLE}", LDAPSettings(dn=dn, id="employeeNumber"))
    )
    with pytest.raises(UnauthorizedLogin):
        login(portal)
    assert "'ann' cannot log in by LDAP: the entry has no attribute 'employeeNumber'" in caplog.text
    assert login(portal, "kim") == "4711"


@MODES
def test_a_password_that_must_be_changed_is_refused_in_both_modes(directory, dn):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}", LDAPSettings(dn=dn)))
    events = []
    portal.subscribe(events.append).get(timeout=10)
    with pytest.raises(UnauthorizedLogin):
        login(portal, "reset")
    until(lambda: events)
    assert (events[0].detail, events[0].known) == (
        "LDAPChecker: the password must be changed first",
        True,
    )
    with pytest.raises(UnauthorizedLogin):
        login(portal, "reset", "wrong")
    assert login(portal) == "ann"


@MODES
def test_an_entry_that_is_on_another_server_lets_nobody_in_and_harms_no_other(directory, dn):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}", LDAPSettings(dn=dn)))
    with pytest.raises(UnauthorizedLogin):
        login(portal, "elsewhere")
    assert login(portal) == "ann"
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}??sub?(|(uid=ann)(objectClass=*))"))
    assert login(portal) == "ann"


@MODES
def test_groups_in_groups_count_if_wanted(directory, dn):
    def portal_of(group, **more):
        settings = LDAPSettings(dn=dn, group=f"cn={group},ou=groups,dc=example", **more)
        return serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}", settings))

    for portal in (
        portal_of("crew", nested="yes"),
        portal_of("crew", nested="yes", group_base="ou=groups,dc=example"),
    ):
        assert [login(portal, "kim"), login(portal, "bob", "hush")] == ["kim", "bob"]
        if not dn:
            assert login(portal, "lee") == "lee"
        with pytest.raises(UnauthorizedLogin):
            login(portal)
    for portal in (portal_of("crew"), portal_of("crew", nested="yes", group_base=PEOPLE)):
        with pytest.raises(UnauthorizedLogin):
            login(portal, "kim")
    assert login(portal_of("sailors"), "kim") == "kim"
    assert login(portal_of("deep10", nested="yes")) == "ann"
    with pytest.raises(UnauthorizedLogin):
        login(portal_of("deep12", nested="yes"))  # past the bound


def test_active_directory_is_asked_for_the_chain():
    assert in_chain("cn=A (b),dc=x") == r"(member:1.2.840.113556.1.4.1941:=cn=A \28b\29,dc=x)"


def test_the_filter_of_the_url_counts_with_a_dn_too(directory):
    portal = serve(
        LDAPChecker.start(
            f"{directory.url}/{PEOPLE}?uid?sub?(sn=bob)", LDAPSettings(dn=f"uid=%u,{PEOPLE}")
        )
    )
    assert login(portal, "bob", "hush") == "bob"
    with pytest.raises(UnauthorizedLogin):
        login(portal)


@MODES
@pytest.mark.parametrize("attribute", ["userid", "UID", "0.9.2342.19200300.100.1.1"])
def test_an_attribute_may_have_any_of_its_names(directory, dn, attribute):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}?{attribute}", LDAPSettings(dn=dn)))
    assert login(portal, "Ann") == "ann"
    portal = serve(
        LDAPChecker.start(
            f"{directory.url}/{PEOPLE}", LDAPSettings(dn=dn, id="2.16.840.1.113730.3.1.3")
        )
    )
    assert login(portal, "kim") == "4711"


@MODES
@pytest.mark.parametrize("wanted", ["(objectClass=person)(sn=bob)", " (sn=bob)"])
def test_a_filter_that_is_taken_can_be_used(directory, dn, wanted):
    portal = serve(
        LDAPChecker.start(f"{directory.url}/{PEOPLE}?uid?sub?{wanted}", LDAPSettings(dn=dn))
    )
    assert login(portal, "bob", "hush") == "bob"
    with pytest.raises(UnauthorizedLogin):
        login(portal)


def test_filter_and_scope_of_the_url_count(directory):
    portal = serve(LDAPChecker.start(f"{directory.url}/dc=example?uid?one?(objectClass=*)"))
    with pytest.raises(UnauthorizedLogin):
        login(portal)
    portal = serve(LDAPChecker.start(f"{directory.url}/dc=example?uid?sub?(sn=bob)"))
    assert login(portal, "bob", "hush") == "bob"
    with pytest.raises(UnauthorizedLogin):
        login(portal)


def test_a_service_account_that_cannot_log_in_is_nobodys_fault(directory):
    portal = serve(
        LDAPChecker.start(
            f"{directory.url}/{PEOPLE}", LDAPSettings(bind="cn=admin,dc=example", password="wrong")
        )
    )
    with pytest.raises(CheckerUnavailable) as unavailable:
        login(portal)
    assert "wrong" not in unavailable.value.detail
    assert "password='wrong'" not in repr(LDAPSettings(password="wrong"))


def identity_of(portal, name="mia"):
    return (
        portal.login(UsernamePassword(name, "right"), None, Player).get(timeout=30).session.identity
    )


@MODES
def test_the_identity_names_the_directory_and_what_never_changes(directory, dn):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}", LDAPSettings(dn=dn)))
    identity = identity_of(portal)

    assert identity.issuer == directory.url.removeprefix("ldap://")
    assert str(uuid.UUID(identity.subject)) == identity.subject
    assert (identity.attributes, identity.groups) == ({}, frozenset())
    named = LDAPSettings(dn=dn, issuer="Example", subject="uid")
    again = identity_of(serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}", named)))
    assert (again.issuer, again.subject) == ("Example", "mia")


@pytest.mark.parametrize("dn", ["", r"dn=uid=%u\,ou=people\,dc=example,"], ids=["search", "bind"])
def test_attributes_are_told_that_the_descriptor_names(directory, dn, caplog):
    portal = serve(
        from_string(
            f"ldap[{dn}attributes=mail displayName jpegPhoto none,expires=description]"
            f":{directory.url}/{PEOPLE}"
        )
    )
    identity = identity_of(portal)

    assert dict(identity.attributes) == {
        "mail": ("m@example.org", "mia@example.org"),
        "displayName": "Mia M\u00fcller",
    }
    assert (identity.expires.year, identity.expires.tzinfo) == (2099, UTC)
    assert "the attribute jpegPhoto of the entry: it is binary" in caplog.text
    for name in ("gone", "odd"):
        with pytest.raises(UnauthorizedLogin):
            identity_of(portal, name)


BASE = r"group_base=ou=teams\,dc=example"


@pytest.mark.parametrize("dn", ["", r"dn=uid=%u\,ou=people\,dc=example,"], ids=["search", "bind"])
@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ("groups=memberOf", {"moderators"}),
        ("groups=search", {"moderators", "players"}),
        ("groups=memberOf search", {"moderators", "players"}),
        ("groups=memberOf,nested=yes", {"moderators", "everyone"}),
        ("groups=search,nested=yes", {"moderators", "players", "everyone"}),
    ],
)
def test_groups_below_the_base_are_told_and_no_others_of_any_name(directory, dn, options, groups):
    portal = serve(from_string(f"ldap[{dn}{options},{BASE}]:{directory.url}/{PEOPLE}"))

    assert identity_of(portal).groups == groups
    assert identity_of(portal, "kim").groups == set()


def test_the_last_login_is_the_one_before(directory):
    portal = serve(from_string(f"ldap[last_login=pwdLastSuccess]:{directory.url}/{PEOPLE}"))
    before = datetime.now(UTC).replace(microsecond=0)
    first, second = (identity_of(portal, "lee").last_login for _ in range(2))

    assert first is None or first <= second
    assert before <= second <= datetime.now(UTC)


def test_what_a_user_is_now_can_be_asked_without_a_login(directory, inline):
    settings = LDAPSettings(groups=("search",), group_base="ou=teams,dc=example")
    checker = LDAPChecker(f"{directory.url}/{PEOPLE}", settings, None)

    assert checker.current_identity("mia").groups == {"moderators", "players"}
    assert checker.current_identity("nobody") is None
    checker.release()
    only_staff = LDAPChecker(f"{directory.url}/{PEOPLE}", LDAPSettings(group=STAFF), None)
    assert only_staff.current_identity("mia") is None
    assert only_staff.current_identity("ann").avatar_id == "ann"
    only_staff.release()
    binding = LDAPChecker(f"{directory.url}/", LDAPSettings(dn=f"uid=%u,{PEOPLE}"), None)
    with pytest.raises(AccountError, match="needs a search"):
        binding.current_identity("mia")


def test_no_search_is_made_that_nothing_asks_for(directory, monkeypatch):
    made = []
    original = LDAPDirectory._search

    def counted(self, connection, search):
        made.append(search)
        return original(self, connection, search)

    monkeypatch.setattr(LDAPDirectory, "_search", counted)
    identity_of(serve(from_string(f"ldap[attributes=mail]:{directory.url}/{PEOPLE}")))
    assert len(made) == 1
    identity_of(serve(from_string(f"ldap[groups=memberOf,{BASE}]:{directory.url}/{PEOPLE}")))
    assert len(made) == 2


def test_a_server_that_is_down_is_unavailable_and_comes_back_without_a_restart(directory):
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}"))
    assert login(portal) == "ann"
    with directory.down(), pytest.raises(CheckerUnavailable):
        login(portal)
    assert login(portal) == "ann"
    with pytest.raises(UnauthorizedLogin):
        login(portal, "ann", "wrong")


def test_a_server_that_hangs_holds_up_a_bounded_number(directory):
    limits = BackendLimits(threads=2, waiting=4, timeout=0.5)
    portal = serve(LDAPChecker.start(f"{directory.url}/{PEOPLE}", limits=limits))
    assert eventually(lambda: login(portal), CheckerUnavailable) == "ann"
    with directory.frozen():
        for future in [
            portal.login(UsernamePassword("ann", "right"), None, Player) for _ in range(20)
        ]:
            with pytest.raises(CheckerUnavailable):
                future.get(timeout=30)
    assert eventually(lambda: login(portal), CheckerUnavailable) == "ann"


def test_what_cannot_be_used_is_said(tmp_path):
    (tmp_path / "text").write_text("no certificate")
    (tmp_path / "empty").touch()
    for text, message in [
        ("ldap:", "needs a URL"), ("ldap:nonsense", "needs a URL"),
        ("ldap:ldap://127.0.0.1", "needs a base"),
        ("ldap:ldap://ldap.example.org/dc=example", "in the clear"),
        ("ldap[dn=uid=ann]:ldaps://host", "needs %u"),
        ("ldap[starttls=maybe]:ldaps://host/dc=x", "cannot be 'maybe'"),
        ("ldap[starttls=yes]:ldaps://host/dc=x", "leave out starttls"),
        (f"ldap[ca={tmp_path}/none]:ldaps://host/dc=x", "there is no such file"),
        (f"ldap[ca={tmp_path}/text]:ldaps://host/dc=x", "not PEM"),
        (f"ldap[ca={tmp_path}/empty]:ldaps://host/dc=x", "none of an authority|not PEM"),
        ("ldap[ca=/etc/passwd]:ldap://127.0.0.1/dc=x", "of no use without TLS"),
        ("ldap[bind=cn=a]:ldaps://host/dc=x", "bind= and password= go together"),
        ("ldap[password=a]:ldaps://host/dc=x", "bind= and password= go together"),
        ("ldap[bind=admin,password=a]:ldaps://host/dc=x", "not the name of an entry"),
        ("ldap[group=staff]:ldaps://host/dc=x", "group= is 'staff'"),
        ("ldap[nested=yes]:ldaps://host/dc=x", "needs group="),
        ("ldap[nested=maybe,group=cn=a]:ldaps://host/dc=x", "one of no, yes, in-chain"),
        ("ldap[group_base=cn=b,group=cn=a]:ldaps://host/dc=x", "of no use without"),
        ("ldap[dn=%u@host]:ldaps://host", "dn= is 'x@host'"),
        ("ldap[id=a b]:ldaps://host/dc=x", "cannot be the name of an attribute"),
        ("ldap:ldaps://host/people?uid", "the URL's base"),
        ("ldap:ldaps://host/dc=x?uid,mail", "one attribute"),
        ("ldap:ldaps://host/dc=x?uid?sub?(cn=x", "not a filter"),
        ("ldap:ldaps://host/dc=x????bindname=cn=x", "extensions"),
        ("ldap:ldaps://host/dc=x?uid?deep", "needs a URL"),
        ("ldap:ldap://127.0.0.1:x/dc=x", "the port"),
        ("ldap:ldap://127.0.0.1:99999/dc=x", "the port"),
        ("ldap:ldap://127.0.0.1:-1/dc=x", "the port"),
        ("ldap[groups=memberOf]:ldaps://host/dc=x", "groups= needs group_base="),
        ("ldap[attributes=mail userPassword]:ldaps://host/dc=x", "userPassword is a secret"),
        ("ldap[attributes=a_b]:ldaps://host/dc=x", "cannot be the name of an attribute"),
        (r"ldap[last_login=a,dn=uid=%u\,dc=x]:ldaps://host", "last_login= needs a search"),
        ("ldap[timeout=nan]:ldaps://host/dc=x", "timeout must be"),
        ("ldap[timeout=inf]:ldaps://host/dc=x", "timeout must be"),
        ("ldap[timeout=1e20]:ldaps://host/dc=x", "timeout must be"),
        ("ldap[threads=100000]:ldaps://host/dc=x", "threads must be from 1 to"),
    ]:  # fmt: skip
        with pytest.raises(AccountError, match=message):
            from_string(text)
