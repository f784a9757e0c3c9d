"""Every test can use any dispatcher, and must leave nothing running."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorcred import actors
from actorcred.actors import AsyncioDispatcher, Dispatcher, InlineDispatcher, ThreadDispatcher

FOREIGN = (
    "adapters/test_asgi.py",
    "adapters/test_asyncssh.py",
    "adapters/test_bearer.py::test_curl",
    "adapters/test_fail2ban.py",
    "adapters/test_fronts.py",
    "adapters/test_gone_accounts.py",
    "adapters/test_gsasl.py",
    "adapters/test_http_digest_clients.py",
    "adapters/test_security_keys.py",
    "checkers/test_authorized_keys.py::test_ssh_keygen",
    "checkers/test_file.py::test_files_by_apaches_htpasswd",
    "checkers/test_file.py::test_what_apaches_tool_accepts",
    "checkers/test_htdigest.py",
    "checkers/test_ldap.py",
    "checkers/test_outcomes.py",
    "checkers/bases/test_patterns.py::test_source_address",
    "checkers/bases/test_records.py::test_a_name_that_the_databases_encoding_does_not_have",
    "checkers/test_security_key.py::test_certificates",
    "checkers/test_security_key.py::test_options_about",
    "checkers/bases/test_rehashing.py::test_a_hash_of_phpass",
    "checkers/test_sql.py",
    "checkers/test_sql_notify.py",
    "checkers/test_sshkey.py",
    "checkers/test_unix.py",
    "cli/test_htpasswd.py::test_apaches_tool_and_ours_change_one_file",
    "cli/test_project_installed.py",
    "examples/test_arena_page.py",
    "examples/test_chat.py",
    "examples/test_chat_page.py",
    "examples/test_chat_scripts.py",
    "examples/test_mail.py",
    "examples/test_mail_clients.py",
    "examples/test_mail_login.py::test_gsasl",
    "passwords/test_web_formats.py::test_a_password_fits",
    "examples/test_patience.py::test_the_arenas_page",
    "examples/test_patience.py::test_a_page",
    "rpc/test_fronts.py",
    "rpc/test_other_languages.py",
    "test_metrics.py::test_promtool",
)
"""Tests that drive programs not written in Python: files, or prefixes of test names in them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that drive other programs, in one place."""
    here = Path(__file__).parent
    places = {name: here / name.partition("::")[0] for name in FOREIGN}
    missing = [name for name, path in places.items() if not path.is_file()]
    if missing:
        raise pytest.UsageError(
            f"tests/conftest.py names tests that are not there: {', '.join(missing)}"
        )
    for item in items:
        if any(
            item.path == path and item.name.startswith(name.partition("::")[2])
            for name, path in places.items()
        ):
            item.add_marker(pytest.mark.foreign)


# If pytest was started by nohup or in the background of a shell script, the programs that tests
# start would correctly ignore these signals, too.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_is_left(nothing_left_running: None) -> None:
    """Stop everything after each test; a test that hangs an actor fails."""


@pytest.fixture
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in its own thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test-loop")
    thread.start()
    yield loop
    actors.shutdown(timeout=10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(params=["threads", "asyncio", "inline"])
def dispatcher(request: pytest.FixtureRequest) -> Dispatcher:
    """Each kind of dispatcher, as the default of the test."""
    made: Dispatcher
    if request.param == "threads":
        made = ThreadDispatcher("actorcred-test", 2)
    elif request.param == "asyncio":
        made = AsyncioDispatcher(request.getfixturevalue("event_loop"))
    else:
        made = InlineDispatcher()
    actors.set_default_dispatcher(made)
    return made


@pytest.fixture
def inline(inline_dispatcher: InlineDispatcher) -> InlineDispatcher:
    """The inline dispatcher, with a clock that the test moves, as the default of the test."""
    return inline_dispatcher
