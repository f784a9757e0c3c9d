"""An LDAP directory with people in it."""

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
            "objectClass": ["inetOrgPerson"], "cn": [name], "sn": [name], "uid": [name], "userPassword": [password],
        }  # fmt: skip
    twin = {"objectClass": ["inetOrgPerson"], "sn": ["x"], "uid": ["twin"], "userPassword": ["right"]}
    yield f"cn=one,{PEOPLE}", {**twin, "cn": ["one"]}
    yield f"cn=two,{PEOPLE}", {**twin, "cn": ["two"]}
    for number in range(3):
        yield f"cn=triplet{number},{PEOPLE}", {**twin, "cn": [f"triplet{number}"], "uid": ["triplet"]}
    yield f"uid=locked,{PEOPLE}", {"objectClass": ["inetOrgPerson"], "cn": ["x"], "sn": ["x"], "uid": ["locked"]}
    yield STAFF, {"objectClass": ["groupOfNames"], "member": [f"uid=ann,{PEOPLE}"]}


@contextlib.contextmanager
def running_directory(folder):
    """Run an OpenLDAP server, whose attribute `ca` is the file of its authority."""
    import ldap

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    with running(slapd, folder) as backend:
        connection = ldap.initialize(backend.url)
        connection.simple_bind_s("cn=admin,dc=example", "admin")
        for dn, attributes in entries():
            connection.add_s(dn, [(key, [value.encode() for value in values]) for key, values in attributes.items()])
        connection.unbind_s()
        backend.ca = str(folder / "ca.pem")
        yield backend
