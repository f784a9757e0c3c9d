"""Metrics of portals for Prometheus.

Give an instance of `Metrics` to the options of a portal, and show it at a port or in an ASGI
application:

    metrics = Metrics()
    portal = Portal.start(realm, checkers, PortalOptions(metrics=metrics))
    metrics.serve("127.0.0.1", 9464)

While nothing is scraped, a login costs a few additions to integers. What is needed from the package
prometheus-client is made at a scrape. A portal without metrics counts nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from actorcred.actors.background import waiting_in_background
from actorcred.errors import MissingExtra
from actorcred.mind.outbox import dropped_items
from actorcred.portal.observing import Counted, Reading
from actorcred.portal.publishing import dropped_events
from actorcred.portal.steps import StepTimes, times_of

__all__ = ["BUCKETS", "Histogram", "Metrics"]


BUCKETS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""The upper bounds of the histograms' buckets, in seconds."""

_FIRST: Final = BUCKETS[0]

SERIES: Final = 1000
"""The combinations of labels that are distinguished; all others are counted as "others"."""

OTHERS: Final = "others"

_SUCCESS: Final = "success"

_HELP: Final = {
    "sessions": "Sessions, open and ending.",
    "logins_in_progress": "Logins that are not decided.",
    "logins_waiting": "Logins that wait for their turn, since others of their account or source "
    "are being checked.",
    "penalised": "Sources and accounts that must wait after failed logins.",
    "mailbox_messages": "Messages that wait for the portal and its roles.",
    "cluster_members": "Nodes of the cluster that are not known to be dead, this one included.",
    "cluster_lease_held": "Whether this node holds its lease: 1, or 0 while it is cut off.",
    "cluster_releases_owed": "Places that NATS has yet to be told are free or taken.",
    "cluster_gaps": "Gaps in the lease of this node.",
    "cluster_messages_dropped": "Messages to other nodes that could not be sent.",
}
"""The numbers that portals have read, and their help texts."""

_COUNTERS: Final = frozenset(("cluster_gaps", "cluster_messages_dropped"))
"""Those of them that only grow."""


class Histogram:
    """How many values fall into each bucket; the values are in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value

    def plus(self, zeros: int) -> Histogram:
        """Return a copy with a number of values that are 0."""
        copy = Histogram()
        copy.counts, copy.total = list(self.counts), self.total
        copy.counts[0] += zeros
        return copy

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulated counts by their upper bounds in seconds, as Prometheus wants."""
        found, sum_so_far = [], 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), list(self.counts), strict=True):
            sum_so_far += count
            found.append((bound, float(sum_so_far)))
        return found


class Metrics:
    """Counts what portals do, and shows it to Prometheus.

    Several portals of one process may share an instance; their numbers are added up. It is a
    collector for a `prometheus_client.CollectorRegistry`, too, for applications that have one.
    """

    def __init__(self) -> None:
        self._logins: dict[tuple[str, str, str], list[int]] = {}
        self._logouts: dict[str, int] = {}
        self._queue, self._check = Histogram(), Histogram()
        self._hash, self._realm = Histogram(), Histogram()
        self._last: tuple[str, str, list[int]] = ("", "", [0])
        """The series of the last login that has succeeded, since the next one is often the same."""
        self._lag = 0.0
        self._readers: dict[object, Callable[[], Iterable[Reading]]] = {}

    # -- for portals; see `portal.observing.Counts` ------------------------------------------------

    def logged_in(self, checker: str, login: Counted, now: float) -> None:
        """Count a login that has succeeded."""
        protocol = login.client.protocol
        last = self._last
        if checker != last[0] or protocol != last[1]:
            last = self._last = checker, protocol, self._series(_SUCCESS, checker, protocol)
        last[2][0] += 1
        began, proven = login.began, login.proven_at
        if login.looked is None and login.hashed is None and None is not began and proven:
            # By far the most frequent case: neither objects nor calls that could be saved.
            check, realm = proven - began, now - proven
            histogram = self._check
            histogram.total += check
            histogram.counts[0 if check <= _FIRST else bisect_left(BUCKETS, check)] += 1
            histogram = self._realm
            histogram.total += realm
            histogram.counts[0 if realm <= _FIRST else bisect_left(BUCKETS, realm)] += 1
        else:
            self._time(times_of(login, now, checked=True))

    def refused(self, cause: str, checker: str, protocol: str, times: StepTimes) -> None:
        """Count a login that has failed."""
        self._series(str(cause), checker, protocol)[0] += 1
        self._time(times)

    def _series(self, outcome: str, checker: str, protocol: str) -> list[int]:
        key = (outcome, checker, protocol)
        if key not in self._logins and len(self._logins) >= SERIES:
            key = (outcome, OTHERS, OTHERS)
        return self._logins.setdefault(key, [0])

    def _time(self, times: StepTimes) -> None:
        queue, check, hashing, realm = (None if ms is None else ms / 1000 for ms in times)
        if queue is not None and check is not None:
            self._queue.add(queue)
            self._check.add(check)
        if hashing is not None:
            self._hash.add(hashing)
        if realm is not None:
            self._realm.add(realm)

    def logged_out(self, reason: str) -> None:
        """Count a session that has ended completely."""
        self._logouts[reason] = self._logouts.get(reason, 0) + 1

    def lagged(self, seconds: float) -> None:
        """Record by how much a timer of a portal was late."""
        self._lag = seconds

    def watch(self, read: Callable[[], Iterable[Reading]]) -> Callable[[], object]:
        """Read further numbers at each scrape; return what ends that."""
        key = object()
        self._readers[key] = read
        return lambda: self._readers.pop(key, None)

    # -- for scrapers ------------------------------------------------------------------------------

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format.

        Raises:
            MissingExtra: without the extra "metrics".
        """
        prometheus = _prometheus()
        text: bytes = prometheus.generate_latest(self._registry(prometheus))
        return text

    def serve(self, host: str = "127.0.0.1", port: int = 9464) -> tuple[int, Callable[[], None]]:
        """Serve `/metrics` by HTTP, in a thread of its own.

        Whoever reaches the port can read how many users there are, but no names and no addresses.

        Args:
            host: where to listen.
            port: the port; 0 for a free one.

        Returns:
            The port, and a function that ends the server.

        Raises:
            MissingExtra: without the extra "metrics".
            OSError: if it cannot be listened on.
        """
        prometheus = _prometheus()
        server, thread = prometheus.start_http_server(
            port, addr=host, registry=self._registry(prometheus)
        )

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return server.server_port, close

    def _registry(self, prometheus: Any) -> Any:
        registry = prometheus.CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def describe(self) -> list[Any]:
        """Return no descriptions, so that a registry does not collect when this is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        """Return all metrics, as a collector of prometheus-client.

        Raises:
            MissingExtra: without the extra "metrics".
        """
        core = _prometheus().core
        logins = core.CounterMetricFamily(
            "actorcred_logins",
            "Logins by outcome (success, or the cause of the refusal), checker and protocol.",
            labels=("outcome", "checker", "protocol"),
        )
        for labels, count in list(self._logins.items()):
            logins.add_metric(labels, count[0])
        yield logins
        logouts = core.CounterMetricFamily(
            "actorcred_logouts", "Sessions that have ended, by reason.", labels=("reason",)
        )
        for reason, number in list(self._logouts.items()):
            logouts.add_metric((reason,), number)
        yield logouts
        yield self._steps(core)
        yield from self._of_process(core)
        yield from self._read(core)

    def _steps(self, core: Any) -> Any:
        steps = core.HistogramMetricFamily(
            "actorcred_login_step_seconds",
            "How long the steps of logins took: waiting, checkers, hashing, realm.",
            labels=("step",),
        )
        for name in StepTimes._fields:
            histogram: Histogram = getattr(self, f"_{name}")
            if name == "queue":
                # Logins that did not have to wait were not counted there.
                histogram = histogram.plus(sum(self._check.counts) - sum(histogram.counts))
            steps.add_metric((name,), histogram.buckets(), histogram.total)
        return steps

    def _of_process(self, core: Any) -> Iterator[Any]:
        yield core.GaugeMetricFamily(
            "actorcred_hashing_queue",
            "Passwords that wait to be verified.",
            value=waiting_in_background(),
        )
        yield core.CounterMetricFamily(
            "actorcred_outbox_dropped",
            "Notifications and calls that were dropped because a client was too slow.",
            value=dropped_items(),
        )
        yield core.CounterMetricFamily(
            "actorcred_events_dropped",
            "Events that were dropped because a subscriber was too slow.",
            value=dropped_events(),
        )
        yield core.GaugeMetricFamily(
            "actorcred_loop_lag_seconds",
            "By how much the last timer of a portal was late, on the event loop or the threads "
            "that it runs on.",
            value=self._lag,
        )

    def _read(self, core: Any) -> Iterator[Any]:
        numbers: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for read in list(self._readers.values()):
            for name, value, labels in read():
                of_name = numbers.setdefault(name, {})
                of_name[labels] = of_name.get(labels, 0.0) + value
        for name, by_labels in numbers.items():
            kinds = [kind for kind, _ in next(iter(by_labels))]
            kind = core.CounterMetricFamily if name in _COUNTERS else core.GaugeMetricFamily
            family = kind(f"actorcred_{name}", _HELP[name], labels=kinds)
            for labels, value in by_labels.items():
                family.add_metric([value for _, value in labels], value)
            yield family


def _prometheus() -> Any:
    try:
        import prometheus_client.core
    except ImportError:
        raise MissingExtra("actorcred.metrics", "metrics") from None
    return prometheus_client
