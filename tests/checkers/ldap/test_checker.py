"""What an LDAP checker makes of entries; tests/checkers/test_ldap.py has a real directory."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("ldap", reason="python-ldap is not installed: pip install 'actorcred[ldap]'")

from actorcred import MissingExtra
from actorcred.checkers.ldap.checker import LDAPChecker


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap", None)
    with pytest.raises(MissingExtra, match=r"actorcred\[ldap\]"):
        LDAPChecker.start("ldap://127.0.0.1/dc=example")
