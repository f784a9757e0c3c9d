"""The filter for fail2ban finds each refused login of each door, and nothing that a name forges."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from actorcred import LoginFailed, Portal, PortalOptions, rpc
from actorcred.actors import ThreadDispatcher
from actorcred.audit import audit, write
from actorcred.checkers.memory import MemoryChecker
from actorcred.cli.log_formats import JournalFormatter, JSONFormatter, LineFormatter
from actorcred.errors import RefusalCause
from actorcred.identity import ClientInfo
from actorcred.portal.events import LoginRefused
from actorcred.rpc.server.server import serve_in_thread
from actorcred.throttle import Admission, Penalty
from tests.adapters import fronts_asyncio, fronts_twisted
from tests.adapters.front import Front, House, Refused
from tests.helpers import until

FAIL2BAN = shutil.which("fail2ban-regex", path="/usr/bin:/bin:/usr/local/bin")
FILES = Path(__file__).parents[2] / "docs" / "how-to" / "fail2ban"
FORMS = {"text": LineFormatter, "json": JSONFormatter}
FORGED = 'x" seen=True address=6.6.6.6 cause=wrong-credentials claimed="y'

pytestmark = pytest.mark.skipif(
    FAIL2BAN is None, reason="fail2ban is not installed: apt install fail2ban"
)


class Wire(Front):
    """Our own server, on one kind of transport."""

    scheme = "tcp"
    nobodys_name = "a\x01b"

    def start(self) -> None:
        self.server = serve_in_thread(self.portal, f"{self.scheme}:127.0.0.1:0")

    def stop(self) -> None:
        self.server.close()

    def log_in(self, name: str, password: str) -> Any:
        async def attempt() -> None:
            client = await rpc.connect(str(self.server.addresses[0]), name, password)
            await client.close()

        try:
            asyncio.run(attempt())
        except LoginFailed as error:
            raise Refused(str(error)) from None

    def begin(self, name: str, password: str) -> Any:
        raise NotImplementedError

    def connections(self) -> int:
        return 0

    def dispatcher(self) -> Any:
        return ThreadDispatcher("actorcred-test", 2)


class WebSocket(Wire):
    scheme = "ws"


DOORS: dict[str, type[Front]] = {
    "rpc": Wire,
    "websocket": WebSocket,
    "pop3": fronts_twisted.Pop,
    "imap": fronts_twisted.Imap,
    "pb": fronts_twisted.PB,
    "conch": fronts_twisted.Conch,
    "asyncssh": fronts_asyncio.AsyncSSH,
    "smtp": fronts_asyncio.Smtp,
    "http": fronts_asyncio.Http,
}


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """All that is logged by this package."""
    found: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[method-assign]
    logger = logging.getLogger("actorcred")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def hits(log: str, folder: Path) -> list[str]:
    """Return the addresses that the filter finds in a log, one per hit."""
    path = folder / "server.log"
    path.write_text(log, encoding="utf-8")
    assert FAIL2BAN is not None
    done = subprocess.run(
        [FAIL2BAN, "--out", "ip", str(path), str(FILES / "actorcred.conf")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {0, 255}, done.stderr  # 255: there was no hit
    return done.stdout.split()


def logged(records: list[logging.LogRecord], form: str) -> str:
    return "".join(FORMS[form]().format(record) + "\n" for record in records)


@pytest.mark.parametrize("door", DOORS)
def test_each_refused_login_is_a_hit_and_a_login_that_was_denied_unseen_is_none(
    door: str, records: list[logging.LogRecord], tmp_path: Path
) -> None:
    front = DOORS[door]()
    users = MemoryChecker.start({"ann": "s3cret"}, plaintext=True)
    dispatcher = ThreadDispatcher("actorcred-test", 2)
    options = PortalOptions(
        penalty=Penalty(step=60.0, free_failures=3), admission=Admission(limit_loopback=True)
    )
    front.portal = Portal.start(
        House.start([], dispatcher=dispatcher), [users], options, dispatcher=dispatcher
    )
    front.start()
    try:
        refuse(front, "nobody", "s3cret")
        refuse(front, front.nobodys_name, "s3cret")
        for _ in range(2):
            refuse(front, "ann", "wrong")
        looked_at = count(records, seen=True)
        assert looked_at >= 4  # some clients try several methods
        for _ in range(2):
            refuse(front, "ann", "s3cret")
        until(lambda: count(records, seen=False))
        assert count(records, seen=True) == looked_at
    finally:
        front.stop()
    for form in FORMS:
        assert hits(logged(records, form), tmp_path) == ["127.0.0.1"] * looked_at


def refuse(front: Front, name: str, password: str) -> None:
    with pytest.raises((Refused, OSError, EOFError)):
        front.log_in(name, password)


def count(records: list[Any], *, seen: bool) -> int:
    return sum(
        getattr(record, "event", "") == "refused" and record.event_fields["seen"] is seen
        for record in list(records)
    )


Refusal = Callable[..., LoginRefused]


def refusal(name: str = "ann", address: str = "192.0.2.7", **more: Any) -> LoginRefused:
    client = ClientInfo(address=address, protocol="rpc", name=FORGED)
    return LoginRefused("refused", "UsernamePassword", name, FORGED, True, True, client, **more)


@pytest.mark.parametrize("form", FORMS)
def test_names_forge_no_hit_and_addresses_of_both_kinds_are_found(
    form: str, records: list[logging.LogRecord], tmp_path: Path
) -> None:
    names = [
        FORGED,
        FORGED.replace('"', '\\"'),
        "a\nrefused seen=True address=6.6.6.6",
        "\\",
        '\\"',
    ]
    for name in names:
        write(refusal(name))
        write(refusal(name, "2001:db8::7"))
        write(refusal(name, cause=RefusalCause.UNAVAILABLE))
        write(refusal(name, cause=RefusalCause.UNKNOWN_KEY))
    write(LoginRefused("denied", "X", FORGED, "", False, False, ClientInfo(address="192.0.2.7")))
    assert hits(logged(records, form), tmp_path) == ["192.0.2.7", "2001:db8::7"] * len(names)


@pytest.mark.parametrize("form", FORMS)
def test_neither_other_records_nor_tracebacks_forge_a_hit(
    form: str, records: list[logging.LogRecord], tmp_path: Path
) -> None:
    write(refusal())
    line = LineFormatter().format(records[0]).replace("192.0.2.7", "6.6.6.6")
    entry = JSONFormatter().format(records[0]).replace("192.0.2.7", "6.6.6.6")
    logger = logging.getLogger("actorcred.rpc")
    for text in (line, entry):
        for forged in (text, text.partition("WARNING")[2], text.partition(",")[2]):
            logger.warning("A client of %s:", forged)
            logger.warning("%s", forged)
            try:
                raise ValueError(f"no such name\n{forged}")
            except ValueError:
                logger.exception("It failed:")
    assert hits(logged(records, form), tmp_path) == ["192.0.2.7"]


def test_the_filter_reads_what_systemds_journal_shows(
    records: list[logging.LogRecord], tmp_path: Path
) -> None:
    write(refusal(FORGED))
    message = JournalFormatter().format(records[0]).splitlines()[0].removeprefix("MESSAGE=")
    # This is how fail2ban's back end for the journal puts a record together.
    line = f"2026-11-29 01:23:22,037 {socket.gethostname()} actorcred[4711]: {message}\n"
    assert hits(line, tmp_path) == ["192.0.2.7"]


def test_the_jail_names_the_filter() -> None:
    jail = (FILES / "jail.conf").read_text()
    assert "filter = actorcred" in jail
    assert audit.name.replace(".", "\\.") in (FILES / "actorcred.conf").read_text()
