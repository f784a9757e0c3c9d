"""A third-party checker, `faults:`, with any number of users and every fault of a checker."""

from __future__ import annotations

import asyncio
from typing import Any

from actorcred import Checker, LoginDenied, UnauthorizedLogin, UsernamePassword
from actorcred.auth.plugin import CheckerPlugin, start_without_argument

__all__ = ["DISTRIBUTION", "PASSWORD", "STORED", "plugin"]

PASSWORD = "right"
"""The password of all users."""

DISTRIBUTION = {
    "METADATA": "Metadata-Version: 2.1\nName: faults\nVersion: 1\n",
    "entry_points.txt": "[actorcred.checkers]\nfaults = tests.faults.checkers:plugin\n",
}
"""Files by which Python recognizes the checker as an installed plugin."""


STORED = "ann"
"""The one user of the next checker, not of this one."""


class Unserializable:
    def __bool__(self) -> bool:
        raise RuntimeError("a bug in the answer")


class FaultyChecker(Checker):
    """All users have the same password; names that begin with "checker-" have a fault each."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> Any:
        name = credentials.username
        if name.startswith("checker-"):
            return getattr(self, name.partition("-")[2])(credentials)
        if credentials.password != PASSWORD or name == STORED:
            raise UnauthorizedLogin("wrong password")
        return name

    def raises(self, credentials: UsernamePassword) -> Any:
        raise RuntimeError(f"a bug in the checker, with {credentials.password}")

    def base(self, credentials: UsernamePassword) -> Any:
        raise asyncio.CancelledError

    def number(self, credentials: UsernamePassword) -> Any:
        return 42

    def odd(self, credentials: UsernamePassword) -> Any:
        return Unserializable()

    def denies(self, credentials: UsernamePassword) -> Any:
        raise LoginDenied("not on Sundays", retry_after=float("nan"))

    async def hangs(self, credentials: UsernamePassword) -> Any:
        await asyncio.Event().wait()


plugin = CheckerPlugin(
    "faults", "", "Has faults.", (UsernamePassword,), start_without_argument(FaultyChecker.start)
)
