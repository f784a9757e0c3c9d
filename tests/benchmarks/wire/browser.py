"""The time and memory of the browser's client in Chromium, beside a bare WebSocket there."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from actorcred import rpc
from tests.benchmarks.measure import Missing, alternate, loop_name, processor_seconds
from tests.benchmarks.report import Pairs
from tests.benchmarks.wire.processes import Server, python
from tests.benchmarks.wire.rounds import scaled

FILES = {
    "/": ("text/html", b"<!doctype html><script type=module src=/browser.mjs></script>"),
    "/actorcred.js": (
        "text/javascript",
        (Path(rpc.__file__).parent / "browser" / "actorcred.js").read_bytes(),
    ),
    "/browser.mjs": ("text/javascript", Path(__file__).with_name("browser.mjs").read_bytes()),
}

CALLS = 4_000
NOTIFICATIONS = 40
SOCKETS = 100
"""Clients of the page: each hears each notification, and takes memory."""


class Page:
    """A page of a Chromium of its own that has either our clients or bare WebSockets.

    Args:
        browser: Playwright's.
        url: of the page.
        kind: client or socket.
        port: of the server.
    """

    def __init__(self, browser: Any, url: str, kind: str, port: int) -> None:
        self._browser = browser.new_browser_cdp_session()
        self._page = browser.new_page()
        self._page.goto(url)
        self._page.evaluate(f"window.open_all('{kind}', {port})")
        self._protocol = self._page.context.new_cdp_session(self._page)

    def _processor_seconds(self) -> float:
        """Return the processor time of all renderers; but for one, they do nothing."""
        found = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(processor_seconds(one["id"]) for one in found if one["type"] == "renderer")

    def memory(self, count: int) -> float:
        """Return the kilobytes of a client's JavaScript objects."""
        before = self._heap()
        self._page.evaluate(f"window.connect({count})")
        return (self._heap() - before) / count / 1024

    def _heap(self) -> float:
        self._protocol.send("HeapProfiler.collectGarbage")
        return float(self._protocol.send("Runtime.getHeapUsage")["usedSize"])

    def time(self, what: str, count: int, each: int = 1) -> tuple[float, float]:
        """Return microseconds of the page's process and of the clock for each of `count`."""
        before = self._processor_seconds()
        taken = self._page.evaluate(f"window.{what}({count})")
        spent = self._processor_seconds() - before
        return spent / count / each * 1e6, taken / count / each * 1000


class Files(http.server.BaseHTTPRequestHandler):
    """Serves the page: Chromium lets only a page of this machine connect to servers of it."""

    def do_GET(self) -> None:
        kind, body = FILES.get(self.path, ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def _files() -> Iterator[str]:
    """Serve the page; yield its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def measure(scale: float, rounds: int) -> dict[str, Pairs]:
    """Return what our client and bare WebSockets cost.

    Raises:
        Missing: if there is no Chromium.
    """
    chromium = shutil.which("chromium")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        raise Missing("chromium and playwright are not installed")
    from playwright.sync_api import sync_playwright

    with (
        Server("the browser's server", python("server_actorcred", loop_name(), "ws")) as server,
        _files() as url,
        sync_playwright() as playwright,
        ExitStack() as stack,
    ):

        def page(kind: str) -> Page:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            stack.callback(browser.close)
            return Page(browser, url, kind, server.port)

        return _compare(page("client"), page("socket"), scale, rounds)


def _compare(ours: Page, bare: Page, scale: float, rounds: int) -> dict[str, Pairs]:
    sockets = scaled(SOCKETS, scale)
    found: dict[str, Pairs] = {"memory": [[page.memory(sockets - 1) for page in (ours, bare)]]}
    for what, count, each in (
        ("calls", scaled(CALLS, scale), 1),
        ("sequential", scaled(CALLS // 2, scale), 1),
        ("notifications", scaled(NOTIFICATIONS, scale), sockets),
    ):
        run = functools.partial(Page.time, what=what, count=count, each=each)
        variants = (functools.partial(run, page) for page in (ours, bare))
        both = alternate(*variants, rounds=rounds)
        found[what] = [[one[0], other[0]] for one, other in both]
        found[f"{what}, time"] = [[one[1], other[1]] for one, other in both]
    return found
