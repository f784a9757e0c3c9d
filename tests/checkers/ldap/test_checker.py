"""What an LDAP checker makes of entries; tests/checkers/test_ldap.py has a real directory."""

from __future__ import annotations

import sys
import uuid

import pytest

pytest.importorskip("ldap", reason="python-ldap is not installed: pip install 'actorcred[ldap]'")

from actorcred import MissingExtra
from actorcred.checkers.ldap.checker import LDAPChecker, _text


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap", None)
    with pytest.raises(MissingExtra, match=r"actorcred\[ldap\]"):
        LDAPChecker.start("ldap://127.0.0.1/dc=example")


def test_an_id_of_active_directory_is_shown_as_its_tools_do() -> None:
    guid = uuid.uuid4()

    assert _text(guid.bytes_le, "objectGUID") == str(guid)
    assert _text("andre\u0301".encode(), "uid") == "andr\u00e9"
    with pytest.raises(UnicodeError):
        _text(b"\xff", "uid")
