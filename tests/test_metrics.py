"""Metrics: what a scrape shows is what has happened, and promtool accepts it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from actorcred import LoginFailed, MissingExtra, Portal, PortalOptions, UsernamePassword
from actorcred.checkers.memory import MemoryChecker
from actorcred.identity import ClientInfo
from actorcred.metrics import BUCKETS, OTHERS, SERIES, Histogram, Metrics
from actorcred.mind.outbox import OutboxLimit
from actorcred.portal.observing import Reading
from actorcred.portal.steps import NO_TIMES, StepTimes
from actorcred.throttle import Penalty
from tests.helpers import Arena, Player, Stage

PROMTOOL = shutil.which("promtool")
RPC = ClientInfo(address="192.0.2.7", protocol="rpc", transport="tcp")


@pytest.fixture
def prometheus() -> Any:
    return pytest.importorskip(
        "prometheus_client",
        reason="prometheus-client is not installed: pip install 'actorcred[metrics]'",
    )


def parse(text: bytes) -> dict[str, float]:
    """Return the samples of a scrape: the name with its labels -> the value."""
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def watched(**options: Any) -> tuple[Metrics, Stage]:
    metrics = Metrics()
    return metrics, Stage(PortalOptions(metrics=metrics, **options))


def test_logins_sessions_and_refusals_are_counted(inline, prometheus):
    metrics, stage = watched()
    first = stage.login("ann")
    stage.login("bob")
    first.logout()
    for _ in range(3):
        with pytest.raises(LoginFailed):
            stage.portal.login(UsernamePassword("ann", "wrong"), None, Player, client=RPC).get()
    shown = parse(metrics.text())

    success = 'actorcred_logins_total{checker="PlainChecker",outcome="success",protocol=""}'
    wrong = (
        'actorcred_logins_total{checker="PlainChecker",outcome="wrong-credentials",protocol="rpc"}'
    )
    assert (shown[success], shown[wrong]) == (2, 3)
    assert shown['actorcred_logouts_total{reason="logout"}'] == 1
    assert shown['actorcred_sessions{state="open"}'] == 1
    assert shown['actorcred_login_step_seconds_count{step="check"}'] == 5
    assert shown['actorcred_login_step_seconds_count{step="realm"}'] == 2
    assert shown['actorcred_login_step_seconds_count{step="hash"}'] == 0
    assert shown["actorcred_logins_in_progress"] == 0


def test_what_waits_is_shown_as_it_is_at_the_scrape(inline, prometheus):
    from actorcred import Future

    metrics, stage = watched(penalty=Penalty(step=10.0, free_failures=1))
    answers = [Future() for _ in range(2)]
    stage.checker_answers.extend(lambda one=one: one for one in answers)
    pending = [stage.begin("ann") for _ in range(3)]
    shown = parse(metrics.text())
    assert shown["actorcred_logins_in_progress"] == 3
    assert shown["actorcred_logins_waiting"] == 2
    assert shown['actorcred_mailbox_messages{actor="portal"}'] == 0
    assert shown['actorcred_mailbox_messages{actor="PlainChecker"}'] == 0
    for answer in answers:
        answer.settle("ann")
    for one in pending:
        one.get(timeout=10)


def test_penalties_are_shown_by_kind(inline, prometheus):
    metrics, stage = watched(penalty=Penalty(step=60.0, free_failures=1))
    for number in range(2):
        for _ in range(2):
            with pytest.raises(LoginFailed):
                stage.portal.login(
                    UsernamePassword(f"user{number}", "wrong"), None, Player, client=RPC
                ).get(timeout=10)
    shown = parse(metrics.text())
    assert shown['actorcred_penalised{kind="source"}'] == 1
    assert shown['actorcred_penalised{kind="account"}'] <= 2


def test_hashing_has_a_histogram_of_its_own(prometheus):
    metrics = Metrics()
    users = MemoryChecker.start({"ann": "s3cret"}, rounds=4)
    portal = Portal.start(Arena.start([]), [users], PortalOptions(metrics=metrics))
    portal.login(UsernamePassword("ann", "s3cret"), None, Player).get(timeout=30)
    shown = parse(metrics.text())
    assert shown['actorcred_login_step_seconds_count{step="hash"}'] == 1
    assert shown['actorcred_login_step_seconds_sum{step="hash"}'] > 0
    assert shown["actorcred_hashing_queue"] == 0


def test_the_drops_of_full_outboxes_are_counted(inline, prometheus):
    metrics, stage = watched(outbox=OutboxLimit(bound=1))
    before = parse(metrics.text())["actorcred_outbox_dropped_total"]
    outbox = stage.login().session.mind.outbox
    outbox.close()  # so that nothing is sent
    outbox.closed = False
    from actorcred.mind.outbox import Notification

    for _ in range(5):
        outbox.offer(Notification("tick", ()))
    assert parse(metrics.text())["actorcred_outbox_dropped_total"] == before + 4


def test_the_lag_of_the_portals_timers_is_shown(inline, prometheus):
    metrics, stage = watched()
    inline.advance(3)
    assert parse(metrics.text())["actorcred_loop_lag_seconds"] == 0
    metrics.lagged(0.25)
    assert parse(metrics.text())["actorcred_loop_lag_seconds"] == 0.25
    stage.portal.stop()


def test_a_portal_that_has_stopped_is_not_shown_and_two_are_added_up(inline, prometheus):
    metrics, stage = watched()
    other = Portal.start(Arena.start([]), [], PortalOptions(metrics=metrics))
    stage.login()
    assert parse(metrics.text())['actorcred_sessions{state="open"}'] == 1
    assert parse(metrics.text())['actorcred_mailbox_messages{actor="portal"}'] == 0
    other.stop()
    stage.portal.stop()
    assert "actorcred_sessions" not in metrics.text().decode()


def test_labels_without_number_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(2 * SERIES):
        metrics.refused("full", "X", f"protocol{number}", NO_TIMES)
    assert len(metrics._logins) == SERIES + 1
    assert metrics._logins["full", OTHERS, OTHERS] == [SERIES]


def test_buckets_are_cumulated_and_in_seconds() -> None:
    histogram = Histogram()
    for seconds in (0.00005, 0.0001, 0.003, 1e6):
        histogram.add(seconds)
    counts = dict(histogram.buckets())
    assert counts["0.0001"] == 2
    assert counts["0.005"] == 3
    assert counts["30.0"] == 3
    assert counts["+Inf"] == 4
    assert len(counts) == len(BUCKETS) + 1


def test_a_number_that_a_portal_reads_ends_with_it(prometheus) -> None:
    metrics = Metrics()
    end = metrics.watch(lambda: [Reading("logins_waiting", 7)])
    metrics.refused("full", "X", "rpc", StepTimes(0.0, 1.0, None, 2.0))
    assert parse(metrics.text())["actorcred_logins_waiting"] == 7
    end()
    assert "actorcred_logins_waiting" not in parse(metrics.text())


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt install prometheus")
def test_promtool_accepts_a_scrape_of_the_port(inline, prometheus):
    metrics, stage = watched()
    stage.login()
    with pytest.raises(LoginFailed):
        stage.login("ann", "wrong")
    port, close = metrics.serve(port=0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read()
    finally:
        close()
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_a_registry_of_the_application_can_have_them(prometheus) -> None:
    registry = prometheus.CollectorRegistry()
    registry.register(Metrics())
    assert b"actorcred_login_step_seconds_bucket" in prometheus.generate_latest(registry)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)
    with pytest.raises(MissingExtra, match=re.escape("actorcred[metrics]")):
        Metrics().text()


def test_nothing_is_imported_before_a_scrape() -> None:
    program = (
        "import sys, actorcred.metrics, actorcred.rpc.server.server, actorcred.tracing\n"
        "actorcred.metrics.Metrics()\n"
        "found = [name for name in sys.modules "
        "if name.startswith(('prometheus_client', 'opentelemetry'))]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
