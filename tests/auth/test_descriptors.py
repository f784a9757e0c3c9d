"""Checkers created from strings: their meaning, and error messages."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred.auth.descriptors import ArgString, DescriptorError, parse_descriptor
from actorcred.auth.registry import from_string, plugins
from actorcred.errors import AccountError, MissingExtra
from actorcred.sasl.scram import _scramp


@pytest.mark.parametrize(
    ("text", "kind", "argument", "options"),
    [
        ("anonymous", "anonymous", "", {}),
        ("file:players.htpasswd", "file", "players.htpasswd", {}),
        (r"file:C:\users\ann", "file", r"C:\users\ann", {}),
        (r"memory:a\:b:c\\d", "memory", r"a:b:c\d", {}),
        ("file[delimiter=;]:x", "file", "x", {"delimiter": ";"}),
        (
            r"ldap[base=ou=a\,dc=b,size=4]:ldap://h",
            "ldap",
            "ldap://h",
            {"base": "ou=a,dc=b", "size": "4"},
        ),
        ("cache[]:(file:x)", "cache", "(file:x)", {}),
    ],
)
def test_a_descriptor_is_type_options_and_argument(text, kind, argument, options):
    made = parse_descriptor(text)
    assert (made.kind, str(made.argument), made.argument.options) == (kind, argument, options)


def test_secrets_come_from_the_environment_or_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("ACTORCRED_TEST_SECRET", "a:b,(c)")
    (tmp_path / "secret").write_text("from a file\nand no more\n")
    made = parse_descriptor(
        "memory:ann:${env:ACTORCRED_TEST_SECRET}:bob:${file:" + str(tmp_path / "secret") + "}"
    )
    assert made.argument.fields() == ["ann", "a:b,(c)", "bob", "from a file"]
    assert "a:b" not in repr(made.argument)


def test_descriptors_nest_and_escapes_are_heeded():
    made = parse_descriptor(r"all:(cache[seconds=5]:(file:a\)b))(memory:ann:x\(y)")
    first, second = made.argument.groups()
    (inner,) = first.argument.groups()
    assert (first.kind, first.argument.options, inner.kind, inner.argument) == (
        "cache",
        {"seconds": "5"},
        "file",
        "a)b",
    )
    assert (second.kind, second.argument.fields()) == ("memory", ["ann", "x(y"])


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("", "begins with a type", 0),
        (":x", "begins with a type", 0),
        ("file!x", "expected a colon", 4),
        ("file[a=1:x", "never closed", 4),
        ("file[a]:x", "KEY=VALUE", 5),
        ("file[a=1,a=2]:x", "given twice", 9),
        ("file[colour=red]:x", "unknown option 'colour'", 5),
        ("file:", "needs the path", 5),
        ("memory:ann", "in turn", 7),
        ("flie:x", "did you mean 'file'?", 0),
        ("cache:file:x", "in parentheses", 6),
        ("cache:(file:x", "never closed", 6),
        ("cache[seconds=soon]:(anonymous)", "cannot be 'soon'", 6),
        ("first:(nowhere:x)", "unknown type", 7),
        ("first:(anonymous)(cache:(file))", "needs the path", 30),
        ("first:(anonymous)x", "in parentheses", 17),
        ("first:(anonymous)(", "never closed", 17),
        ("first:()", "begins with a type", 7),
        ("cache:(anonymous)(anonymous)", "one descriptor", 6),
        ("all:(memory:ann:right)(otp[x=1]:y)", "unknown option 'x'", 27),
        ("file:${home}", "a secret must be", 5),
        ("file:${env:NO_SUCH_VARIABLE_HERE}", "no variable", 5),
        ("anonymous:x", "takes no argument", 10),
    ],
)
def test_a_mistake_is_shown_where_it_is(text, message, position):
    with pytest.raises(DescriptorError, match=r"(?s).*\n  .*\n *\^$") as wrong:
        from_string(text)
    assert message in str(wrong.value)
    assert wrong.value.position == position


def test_a_mistake_shows_no_secret():
    for text in (
        "memory:ann:s3cret:bob", "sql[x:postgresql://ann:s3cret@host/db",
        "first:(memory:ann:s3cret)x", r"first:(memory:ann:\(s3cret)x",
        "sql[x=1]:postgresql://ann:p@s3cret@host/db", "jwt[alg=HS256,secret=s3cret,x=1]:",
        r"ldap[password=\,s3cret,x=1]:ldaps://host/dc=x", "memory[x=1]:ann:s3cret",
    ):  # fmt: skip
        with pytest.raises(DescriptorError) as wrong:
            from_string(text)
        assert "s3cret" not in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "module", "extra"),
    [
        ("sql:sqlite://", "sqlalchemy", "sql"), ("ldap:ldaps://host/dc=x", "ldap", "ldap"),
        ("unix:login", "pam", "pam"), ("jwt:https://host/jwks", "jwt", "jwt"),
        ("sshkey:/%u", "asyncssh", "ssh"), ("certificate:x", "cryptography", "certificate"),
        ("sqlite[scram=yes]:x", "scramp", "scram"),
    ],
)  # fmt: skip
def test_without_its_extra_a_type_says_what_to_install(text, module, extra, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    _scramp.cache_clear()
    with pytest.raises(MissingExtra, match=rf"pip install 'actorcred\[{extra}\]'"):
        from_string(text)
    assert not any(tmp_path.iterdir())


def test_of_several_none_stays_if_one_cannot_be_started():
    with pytest.raises(DescriptorError):
        from_string("first:(anonymous)(memory:odd)")  # the fixture checks for leaked actors


def test_every_type_says_what_it_is():
    assert set(plugins()) >= {
        "all",
        "allow",
        "anonymous",
        "cache",
        "deny",
        "external",
        "file",
        "first",
        "memory",
        "sqlite",
    }
    for name, plugin in plugins().items():
        assert plugin.auth_type == name
        assert plugin.auth_help.endswith(".")
        assert plugin.credential_interfaces


@given(st.text(max_size=60) | st.text("memoryfilecache:()[]\\=,${}", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        made = parse_descriptor(text)
        made.argument.fields()
        made.argument.groups()
    except DescriptorError as error:
        assert 0 <= error.position <= len(text)


@given(st.text(max_size=40))
def test_an_escaped_text_means_itself(text):
    escaped = "".join("\\" + sign if sign in "\\:,=()[]$" else sign for sign in text)
    assert ArgString.of(escaped).fields() == [text]


@given(
    st.sampled_from(sorted(set(plugins()) - {"sqlite", "otp"})),  # these create files
    st.text(max_size=30) | st.text("()[]:,=\\${}/%u.memoryfile", max_size=30),
)
@settings(deadline=None)
def test_any_argument_starts_a_checker_or_is_refused_by_a_documented_error(kind, argument):
    try:
        from_string(f"{kind}{argument}").stop()
    except (AccountError, MissingExtra) as error:
        assert str(error)
