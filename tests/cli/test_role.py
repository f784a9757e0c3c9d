"""What a process that serves alone prints."""

from __future__ import annotations

import pytest

from actorcred.cli.role import Role
from actorcred.rpc.protocol.addresses import Address


def test_a_process_that_serves_alone_reports_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    role = Role()
    assert (role.worker, role.sockets) == (0, {})
    role.shows_metrics("http://127.0.0.1:9464/metrics")
    role.joined("node-1")
    role.opened([Address.parse("tcp:127.0.0.1:9986"), Address.parse("unix:/run/game")])
    role.closing()
    role.closed(1)
    role.closed(2)
    assert capsys.readouterr().out.splitlines() == [
        "metrics at http://127.0.0.1:9464/metrics",
        "node node-1 has joined the cluster",
        "listening on tcp://127.0.0.1:9986",
        "listening on unix:/run/game",
        "going down: ending all sessions",
        "logged out 1 session",
        "logged out 2 sessions",
    ]
