"""How users are found in an LDAP directory, and checks of these settings before the first login."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actorcred.errors import AccountError
from actorcred.network import is_local

__all__ = ["NESTING", "SEARCH", "LDAPPlace", "LDAPSettings", "take_place"]


NESTING = ("no", "yes", "in-chain")

SEARCH = "search"
"""The word of `LDAPSettings.groups` for a search; others are attributes."""

_SECRET = frozenset((
    "userpassword", "authpassword", "unicodepwd", "dbcspwd", "sambantpassword", "sambalmpassword",
    "krbprincipalkey", "pwdhistory",
))  # fmt: skip

_ATTRIBUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9-]+)*")
"""RFC 4512, section 2.5."""

_ANY_ENTRY = "(objectClass=*)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LDAPSettings:
    """How users are found and who may log in.

    Args:
        dn: the DN of a user's entry, with %u for the name, such as "uid=%u,ou=people,dc=example":
            the checker binds as that entry. Without it, the checker searches for the user's entry
            below the base of the URL, and then binds as that.
        id: the attribute whose value is the avatar id, such as "entryUUID" or "employeeNumber"; by
            default that of the name.
        bind: the account that searches; "" searches anonymously.
        password: the password of that account.
        group: the entry of a group; only its members may log in (`member`, `uniqueMember` or
            `memberUid`).
        nested: whether members of groups in that group count. "yes" walks up from the user, at most
            10 levels and 1,000 groups; "in-chain" lets an Active Directory do it.
        group_base: the entry below which groups are found; by default the part of the directory
            (naming context) that holds `group`.
        attributes: attributes of the user's entry for `Identity.attributes`, such as ("mail",
            "displayName").
        groups: where the user's groups (`Identity.groups`) come from: attributes of the user's
            entry that name groups, such as "memberOf"; and "search", which searches below
            `group_base` for groups with the user as `member`, `uniqueMember` or `memberUid`. Only
            groups below `group_base` count, by the name in their DN; with `nested` also the groups
            that these are in.
        issuer: what the directory is called (`Identity.issuer`); by default the URL's host.
        subject: the attribute that never changes (`Identity.subject`); by default entryUUID or
            objectGUID, or else the DN.
        expires: the attribute with the time at which the account expires, and its sessions end,
            such as "accountExpires" or "shadowExpire".
        last_login: the attribute with the time of the last login, such as "pwdLastSuccess". It is
            read before the bind, so not with `dn`.
        starttls: encrypt the connection of an ldap:// URL before anything is sent.
        ca: a PEM file with the certificates of the accepted issuers of the server's certificate; by
            default the system's.
        insecure: allow passwords to be sent over a network in the clear.
    """

    dn: str = ""
    id: str = ""
    bind: str = ""
    password: str = field(default="", repr=False)
    group: str = ""
    nested: str = "no"
    group_base: str = ""
    attributes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    issuer: str = ""
    subject: str = ""
    expires: str = ""
    last_login: str = ""
    starttls: bool = False
    ca: str = ""
    insecure: bool = False

    @property
    def group_attributes(self) -> tuple[str, ...]:
        """The attributes of the user's entry that name groups."""
        return tuple(word for word in self.groups if word != SEARCH)


@dataclass(frozen=True, slots=True)
class LDAPPlace:
    """Where users are found.

    Args:
        address: the server's URL.
        base: where users are searched for.
        attribute: the attribute with the name.
        scope: python-ldap's constant.
        filter: the filter that users' entries match.
        filtered: whether that filter restricts anything.
        host: the server's host, with the port if the URL has one.
    """

    address: str
    base: str
    attribute: str
    scope: int
    filter: str
    filtered: bool
    host: str


def take_place(url: str, settings: LDAPSettings) -> LDAPPlace:
    """Return where users are found, after all checks that are possible without the server.

    Raises:
        AccountError: if something is wrong; says what.
    """
    place = _read_url(url)
    scheme = place.address.partition(":")[0].lower()
    _check_encryption(url, scheme, settings)
    _check_words(place, settings)
    for what, dn in _names(place, settings):
        _check_dn(what, dn)
    _check_filter(place)
    return place


def _read_url(url: str) -> LDAPPlace:
    import ldap
    import ldapurl

    try:
        parts = ldapurl.LDAPUrl(url)
    except ValueError:
        raise AccountError(
            "ldap: needs a URL, such as ldaps://host/ou=people,dc=example?uid"
        ) from None
    _check_port(parts.hostport)
    if parts.extensions:
        raise AccountError(
            "ldap: the URL has extensions, which are not supported; use options, such as "
            "ldap[starttls=yes]:URL"
        )
    attributes = parts.attrs or ["uid"]
    if len(attributes) != 1:
        raise AccountError(
            f"ldap: one attribute must have the user's name, not {', '.join(attributes)}"
        )
    return LDAPPlace(
        parts.initializeUrl(),
        parts.dn or "",
        attributes[0],
        ldap.SCOPE_SUBTREE if parts.scope is None else parts.scope,
        # Several filters in a row must all match.
        f"(&{parts.filterstr})" if parts.filterstr else _ANY_ENTRY,
        filtered=bool(parts.filterstr) and parts.filterstr != _ANY_ENTRY,
        host="localhost" if parts.urlscheme == "ldapi" else parts.hostport or "localhost",
    )


def _check_port(hostport: str | None) -> None:
    match = re.search(r":([^:\]]*)$", hostport or "")
    if match is not None and not (
        match[1].isascii() and match[1].isdigit() and 0 < int(match[1]) <= 65535
    ):
        raise AccountError(f"ldap: the port in the URL must be from 1 to 65535, not {match[1]!r}")


def _check_encryption(url: str, scheme: str, settings: LDAPSettings) -> None:
    encrypted = scheme == "ldaps" or settings.starttls
    if scheme == "ldaps" and settings.starttls:
        raise AccountError(
            "ldap: ldaps:// is encrypted from the start; leave out starttls=yes, or use ldap://"
        )
    if scheme == "ldap" and not is_local(url) and not encrypted and not settings.insecure:
        raise AccountError(
            "ldap: passwords would go in the clear; use ldaps://, starttls=yes, or insecure=yes"
        )
    if settings.ca:
        _check_certificates(settings.ca, encrypted=encrypted)


def _check_certificates(path: str, *, encrypted: bool) -> None:
    if not encrypted:
        raise AccountError("ldap: ca= is of no use without TLS; use ldaps:// or starttls=yes")
    try:
        found = (
            ssl.create_default_context(cafile=path).get_ca_certs() if Path(path).is_file() else None
        )
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors
        reason = (
            error.strerror
            if isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
            else "not PEM"
        )
        raise AccountError(f"ldap: no certificates can be read from ca={path}: {reason}") from None
    if not found:
        why = "there is no such file" if found is None else "it contains no CA certificates"
        raise AccountError(f"ldap: no certificates can be read from ca={path}: {why}")


def _check_words(place: LDAPPlace, settings: LDAPSettings) -> None:
    if not settings.dn and not place.base:
        raise AccountError("ldap: needs a base to search in the URL, or the option dn=")
    if settings.dn and "%u" not in settings.dn:
        raise AccountError(
            "ldap: the option dn= needs %u for the name, such as uid=%u,ou=people,dc=example"
        )
    if bool(settings.bind) != bool(settings.password):
        raise AccountError(
            "ldap: bind= and password= go together; without both the search is anonymous"
        )
    if settings.nested not in NESTING:
        raise AccountError(f"ldap: nested= is one of {', '.join(NESTING)}, not {settings.nested!r}")
    _check_groups(settings)
    if settings.last_login and settings.dn:
        raise AccountError(
            "ldap: last_login= needs a search before the bind; leave out dn=, or last_login="
        )
    times = (settings.expires, settings.last_login)
    facts = (settings.subject, *times, *settings.attributes, *settings.group_attributes)
    for attribute in (place.attribute, settings.id, *facts):
        if attribute and not _ATTRIBUTE.fullmatch(attribute):
            raise AccountError(f"ldap: {attribute!r} cannot be the name of an attribute")
        if attribute.partition(";")[0].lower() in _SECRET:
            raise AccountError(f"ldap: {attribute} is a secret, which an identity must not have")


def _check_groups(settings: LDAPSettings) -> None:
    if settings.nested != "no" and not (settings.group or settings.groups):
        raise AccountError(
            "ldap: nested= needs group=, whose members may log in, or groups=, which are told"
        )
    if settings.groups and not settings.group_base:
        raise AccountError(
            "ldap: groups= needs group_base=, below which groups count: others can have the same "
            "names"
        )
    if settings.group_base and settings.nested != "yes" and not settings.groups:
        raise AccountError(
            "ldap: group_base= says where nested=yes and groups= search, and is of no use without "
            "these"
        )


def _names(place: LDAPPlace, settings: LDAPSettings) -> list[tuple[str, str]]:
    return [
        ("the URL's base", place.base),
        ("dn=", settings.dn.replace("%u", "x")),
        ("bind=", settings.bind),
        ("group=", settings.group),
        ("group_base=", settings.group_base),
    ]


def _check_dn(what: str, dn: str) -> None:
    from ldap.dn import is_dn

    # Active Directory also accepts ann@corp.example as the account that binds.
    if not is_dn(dn) and not (what == "bind=" and "@" in dn):
        raise AccountError(
            f"ldap: {what} is {dn!r}, which is not the name of an entry, such as "
            "ou=people,dc=example"
        )


def _check_filter(place: LDAPPlace) -> None:
    """Have the library parse the filter, which it does before it connects to anything."""
    import ldap

    connection: Any = ldap.initialize("ldapi://%2Fdev%2Fnull")
    try:
        connection.search_ext_s("", ldap.SCOPE_BASE, f"(&{place.filter}({place.attribute}=x))")
    except ldap.FILTER_ERROR:
        raise AccountError(
            f"ldap: {place.filter!r} is not a filter, such as (objectClass=person)"
        ) from None
    except ldap.LDAPError:
        return
