"""Twisted's own tests of logins, with `CredPortal` in the place of `twisted.cred.portal.Portal`.

    python -m tests.adapters.twisteds_own_tests [MODULE...]

runs those of the installed Twisted and prints how many pass, and why each of the others cannot. The
exit code is 1 if another one fails, or if one that is listed as failing passes or does not exist
any more.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

MODULES = [
    "twisted.cred.test",
    "twisted.spread.test.test_pb",
    "twisted.mail.test.test_imap",
    "twisted.mail.test.test_mail",
    "twisted.mail.test.test_options",
    "twisted.mail.test.test_pop3",
    "twisted.mail.test.test_smtp",
    "twisted.web.test.test_httpauth",
    "twisted.conch.test.test_manhole_tap",
    "twisted.conch.test.test_ssh",
    "twisted.conch.test.test_tap",
    "twisted.conch.test.test_unix",
    "twisted.conch.test.test_userauth",
    "twisted.test.test_ftp",
    "twisted.words.test.test_irc_service",
    "twisted.words.test.test_service",
    "twisted.words.test.test_tap",
]
"""The modules that make a portal, except three of Conch's.

test_conch drives OpenSSH, test_endpoints and test_cftp need PyHamcrest.
"""

CANNOT = {
    (
        "twisted.conch.test.test_userauth.SSHUserAuthServerTests."
        "test_failedPrivateKeyAuthenticationWithoutSignature"
    ): ("any SSH key may be tried, so that nobody learns which ones a user has"),
    "twisted.mail.test.test_imap.AuthenticatorTests.test_customChallengers": (
        "its checker returns None for a user whom it does not know; that lets nobody in"
    ),
    "twisted.mail.test.test_imap.HandCraftedTests.test_emptyStringLiteral": (
        "an empty name is nobody's"
    ),
    "twisted.mail.test.test_imap.IMAP4ServerTests.test_nonIAccountAvatar": (
        "the portal itself refuses what a realm returns with an interface that nobody asked for"
    ),
    "twisted.web.test.test_httpauth.HTTPAuthHeaderTests.test_unexpectedLoginError": (
        "checkers of one kind are asked in turn, where with Twisted the last one wins"
    ),
}
"""The tests that cannot pass, and why."""


running = [""]
with_a_portal: set[str] = set()
"""The tests that made a portal; the others of their modules are about protocols alone."""


def patch() -> None:
    """Put our portal where Twisted's is."""
    import logging

    from twisted.cred import portal
    from twisted.internet import task

    from actorcred.actors import Dispatcher
    from actorcred.adapters.twisted import CredPortal, ReactorDispatcher

    logging.getLogger("actorcred").setLevel(logging.CRITICAL)
    dispatcher = ReactorDispatcher(clock=task.Clock())

    class Portal(CredPortal):
        """One whose timers do not stand in the reactor, where trial would call them left over."""

        def __init__(self, realm: Any, checkers: Any = ()) -> None:
            super().__init__(realm, checkers)
            with_a_portal.add(running[-1])

        @staticmethod
        def _dispatcher() -> Dispatcher:
            return dispatcher

    portal.Portal = Portal  # type: ignore[assignment, misc]


def main(modules: list[str]) -> int:
    """Run the tests; return the exit code."""
    from twisted.trial import reporter, runner

    patch()
    os.chdir(tempfile.mkdtemp())
    results: dict[str, str] = {}

    class Report(reporter.TestResult):  # type: ignore[misc]
        """Notes what becomes of each test."""

        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__()

        def startTest(self, test: Any) -> None:
            super().startTest(test)
            running[0] = test.id()
            results[test.id()] = "passed"

        def addSkip(self, test: Any, reason: Any) -> None:
            results[test.id()] = f"skipped: {reason}"

        def addError(self, test: Any, error: Any) -> None:
            results[test.id()] = f"failed: {getattr(error, 'value', error)!r}"

        def addFailure(self, test: Any, failure: Any) -> None:
            self.addError(test, failure)

        def addExpectedFailure(self, test: Any, failure: Any, todo: Any = None) -> None:
            results[test.id()] = "passed"

        def done(self) -> None:
            """Nothing more."""

    loader = runner.TestLoader()
    suite = loader.loadByNames(modules, recurse=True)
    runner.TrialRunner(Report, workingDirectory="trial").run(suite)
    return tell(results)


def tell(results: dict[str, str]) -> int:
    """Print the count and the exceptions; return the exit code."""
    for name, outcome in sorted(results.items()):
        if outcome.startswith("failed"):
            why = CANNOT.get(name)
            print(f"{name}: {'cannot: ' + why if why else 'FAILED ' + outcome}")
        elif outcome.startswith("skipped"):
            print(f"{name}: {outcome.splitlines()[0]}")
    wrong = wrong_exclusions(results)
    for complaint in wrong:
        print(complaint)
    print(summary("tests of these modules", results))
    print(
        summary(
            "tests that make a portal",
            {name: results[name] for name in with_a_portal if name in results},
        )
    )
    unexpected = [
        name
        for name, outcome in results.items()
        if outcome.startswith("failed") and name not in CANNOT
    ]
    return 1 if unexpected or wrong or not results else 0


def wrong_exclusions(results: dict[str, str]) -> list[str]:
    """Return what is wrong with `CANNOT`, as far as the modules of its tests were run."""
    ran = {name.rsplit(".", 2)[0] for name in results}
    excluded = {
        name: results.get(name, "not there") for name in CANNOT if name.rsplit(".", 2)[0] in ran
    }
    return [
        f"{name}: WRONG, it is {how} now"
        for name, how in excluded.items()
        if not how.startswith("failed")
    ]


def summary(what: str, results: dict[str, str]) -> str:
    """Return how many tests passed, in a line."""
    passed, skipped, failed = (
        sum(one.startswith(kind) for one in results.values())
        for kind in ("passed", "skipped", "failed")
    )
    return (
        f"{passed} of {len(results)} {what} pass, "
        f"{skipped} skip themselves, {failed} cannot or fail"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or MODULES))
