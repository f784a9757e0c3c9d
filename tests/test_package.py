"""Promises of the whole package: its names, its imports, the size of its files."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import actorcred
from actorcred import actors

ROOT = Path(__file__).parents[1]
MODULES = sorted(module.name for module in pkgutil.walk_packages(actorcred.__path__, "actorcred."))
PUBLIC = {
    "ANONYMOUS", "AccountError", "Actor", "ActorRef", "ActorcredError", "Anonymous", "Avatar",
    "AvatarId", "AvatarRef", "Channel", "Checker", "CheckerRef", "CheckerUnavailable", "ClientGone",
    "Future", "Group", "Login", "LoginDenied", "LoginFailed", "LoginFuture", "LogoutCode",
    "LogoutReason", "MindRef", "MissingExtra", "MoveFailed", "NoInterface", "Notification",
    "OutboxLimit", "OutboxOverflow", "PasswordChange", "PasswordRejected", "Policy", "Portal",
    "PortalOptions", "PortalRef", "Realm", "Revocation", "Session", "Standing", "UnauthorizedLogin",
    "UnhandledCredentials",
    "UsernameHashedPassword", "UsernamePassword", "BearerToken", "CallCode", "CallError",
    "Certificate", "ConnectionLost", "Exchange", "ProtocolError", "RestartRole", "SnapshotDeclined",
    "Admission", "ClientInfo", "Identity", "Penalty", "SessionInfo", "requires",
    "ScramVerifier", "UsernameScram", "reauthenticated",
    "NamedGroup", "PresenceLimits", "UserPresence",
}  # fmt: skip


def test_the_public_names_are_these():
    assert set(actorcred.__all__) == PUBLIC
    assert all(hasattr(actors, name) for name in actors.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_its_public_names(name):
    module = importlib.import_module(name)

    if not name.endswith(("sessions", "_context")):
        assert all(hasattr(module, public) for public in module.__all__)


def test_importing_the_package_loads_no_optional_one_and_starts_no_thread():
    program = """
import sys, threading, actorcred
optional = {"passlib", "zxcvbn", "rich", "twisted", "sqlite3"} & set(sys.modules)
assert not optional, optional
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_only_the_runtime_touches_pykkas_private_names():
    for path in (ROOT / "actorcred").rglob("*.py"):
        if path.parent.name != "actors":
            text = path.read_text()
            assert "pykka._" not in text, path
            assert "_ActorStop" not in text, path


def test_no_file_is_over_500_lines_and_no_function_over_50():
    too_long = []
    for folder in ("actorcred", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert len(text.splitlines()) <= 500, path
            functions = (
                n
                for n in ast.walk(ast.parse(text))
                if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            too_long += [f"{path.name}:{n.name}" for n in functions if n.end_lineno - n.lineno > 50]
    assert too_long == []
