"""An LDAP directory with users."""

from __future__ import annotations

import contextlib

import trustme

from tests.backends.servers import running, slapd

PEOPLE = "ou=people,dc=example"
STAFF = "cn=staff,dc=example"
PASSWORDS = {"ann": "right", "bob": "hush", "andr\u00e9": "sn\u00f6 \u2603", "o(dd)*,\\": "odd"}


def entries():
    from ldap.dn import escape_dn_chars

    yield "dc=example", {"objectClass": ["dcObject", "organization"], "o": ["Example"]}
    yield PEOPLE, {"objectClass": ["organizationalUnit"]}
    yield "ou=old,dc=example", {"objectClass": ["organizationalUnit"]}
    for name, password in PASSWORDS.items():
        yield f"uid={escape_dn_chars(name)},{PEOPLE}", {
            "objectClass": ["inetOrgPerson"], "cn": [name], "sn": [name], "uid": [name],
            "userPassword": [password],
        }  # fmt: skip
    twin = {
        "objectClass": ["inetOrgPerson"],
        "sn": ["x"],
        "uid": ["twin"],
        "userPassword": ["right"],
    }
    yield f"cn=one,{PEOPLE}", {**twin, "cn": ["one"]}
    yield f"cn=two,{PEOPLE}", {**twin, "cn": ["two"]}
    for number in range(3):
        yield (
            f"cn=triplet{number},{PEOPLE}",
            {**twin, "cn": [f"triplet{number}"], "uid": ["triplet"]},
        )
    yield (
        f"uid=locked,{PEOPLE}",
        {"objectClass": ["inetOrgPerson"], "cn": ["x"], "sn": ["x"], "uid": ["locked"]},
    )
    yield "cn=policy,dc=example", {
        "objectClass": ["pwdPolicy", "device"], "cn": ["policy"], "pwdAttribute": ["userPassword"],
        "pwdMustChange": ["TRUE"],
    }  # fmt: skip
    yield from unusual_people()
    yield from groups()
    yield STAFF, {"objectClass": ["groupOfNames"], "member": [f"uid=ann,{PEOPLE}"]}
    yield from people_with_facts()


def person(dn, *uids, **more):
    name = dn.partition("=")[2].partition(",")[0]
    known = {"cn": [name], "sn": ["x"], "uid": list(uids), "userPassword": ["right"]}
    return dn, {"objectClass": ["inetOrgPerson"], **known, **more}


def unusual_people():
    decomposed = "jose\u0301"
    yield person(f"uid={decomposed},{PEOPLE}", decomposed)
    yield person(f"uid=kim,{PEOPLE}", "a.kim", "kim", employeeNumber=["4711"])
    yield person(
        f"cn=Lee Wu,{PEOPLE}",
        "wu",
        "lee",
        employeeNumber=["4712"],
        mail=["lee@example.org", "wu@example.org"],
    )
    yield person(f"uid=reset,{PEOPLE}", "reset", pwdReset=["TRUE"])
    yield f"uid=elsewhere,{PEOPLE}", {
        "objectClass": ["referral", "extensibleObject"], "uid": ["elsewhere"],
        "ref": [f"ldap://127.0.0.1:1/uid=elsewhere,{PEOPLE}"],
    }  # fmt: skip


def people_with_facts():
    """People of whom more is known, and who are in groups; two groups have the same name."""
    yield person(
        f"uid=mia,{PEOPLE}", "mia",
        mail=["mia@example.org", "m@example.org"], displayName=["Mia M\u00fcller"],
        jpegPhoto=["\udcff\udcd8"], description=["20991231235959Z"],
    )  # fmt: skip
    yield person(f"uid=gone,{PEOPLE}", "gone", description=["20011231235959Z"])
    yield person(f"uid=odd,{PEOPLE}", "odd", description=["some day"])
    yield "ou=teams,dc=example", {"objectClass": ["organizationalUnit"]}
    for name, members in {
        "moderators": [f"uid=mia,{PEOPLE}"],
        "everyone": ["cn=moderators,ou=teams,dc=example"],
    }.items():
        yield f"cn={name},ou=teams,dc=example", {"objectClass": ["groupOfNames"], "member": members}
    yield "cn=players,ou=teams,dc=example", {
        "objectClass": ["posixGroup"], "gidNumber": ["101"], "memberUid": ["mia"],
    }  # fmt: skip
    yield "ou=other,dc=example", {"objectClass": ["organizationalUnit"]}
    yield "cn=admins,ou=other,dc=example", {
        "objectClass": ["groupOfNames"], "member": [f"uid=mia,{PEOPLE}"],
    }  # fmt: skip


def groups():
    """Kim is in a cycle of three groups, Lee in a posix group, and Ann in nested groups."""
    yield "ou=groups,dc=example", {"objectClass": ["organizationalUnit"]}

    def group(name, *members):
        return f"cn={name},ou=groups,dc=example", {
            "objectClass": ["groupOfNames"],
            "member": list(members),
        }

    def of(name):
        return f"cn={name},ou=groups,dc=example"

    yield group("crew", of("deck"))
    yield group("deck", of("sailors"), f"uid=bob,{PEOPLE}")
    yield group("sailors", f"UID=Kim, {PEOPLE.upper()}", of("crew"), of("cooks"))
    yield of("cooks"), {"objectClass": ["posixGroup"], "gidNumber": ["100"], "memberUid": ["lee"]}
    yield group("deep0", f"uid=ann,{PEOPLE}")
    for number in range(1, 13):
        yield group(f"deep{number}", of(f"deep{number - 1}"))


@contextlib.contextmanager
def running_directory(folder):
    """Run an OpenLDAP server. Its attribute `ca` is the path of its CA certificate."""
    import ldap
    from ldap.controls.simple import ManageDSAITControl

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    with running(slapd, folder) as backend:
        connection = ldap.initialize(backend.url)
        connection.simple_bind_s("cn=admin,dc=example", "admin")
        connection.set_option(
            ldap.OPT_SERVER_CONTROLS, [ManageDSAITControl()]
        )  # referrals are entries, too
        for dn, attributes in entries():
            connection.add_s(
                dn,
                [
                    (key, [value.encode(errors="surrogateescape") for value in values])
                    for key, values in attributes.items()
                ],
            )
        connection.unbind_s()
        backend.ca = str(folder / "ca.pem")
        yield backend
