"""A worker as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from actorcred.cli.worker_process import Task, WorkerProcess, describe_end
from tests.cli.served import command_of
from tests.cli.test_worker import settings

pytestmark = pytest.mark.slow  # each starts a process


def test_the_end_of_a_process_is_described() -> None:
    assert describe_end(2) == "has ended with exit code 2"
    assert describe_end(-9) == "was ended by SIGKILL"


def test_a_worker_gets_its_task_by_a_socket_and_reports() -> None:
    secret = "s3cret-of-nats"
    given: list[str] = []

    def task(before: str) -> Task:
        given.append(before)
        return Task(1, settings(secret=secret, metrics=("127.0.0.1", 0)))

    async def live() -> None:
        worker = WorkerProcess(1, task)
        assert (worker.pid, worker.code) == (0, 0)
        worker.send(signal.SIGTERM)  # there is none
        assert await worker.ended() == 0
        await worker.start()
        assert await worker.ready()
        assert worker.metrics.startswith("http://127.0.0.1:")
        assert worker.code is None
        environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
        assert secret not in command_of(worker.pid)
        assert secret.encode() not in environment
        assert os.getpgid(worker.pid) == worker.pid
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0
        assert worker.closed == 0
        worker._take({"joined": "node-1-abc"})
        await worker.start()
        worker.send(signal.SIGKILL)
        assert not await worker.ready()
        assert await worker.ended() == -signal.SIGKILL
        worker.send(signal.SIGTERM)

    pytest.importorskip("prometheus_client")
    asyncio.run(live())
    assert given == ["", "node-1-abc"]


def test_a_worker_that_cannot_be_started_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actorcred.cli.worker_process.sys.executable", "/none/there")

    async def live() -> None:
        with pytest.raises(FileNotFoundError):
            await WorkerProcess(1, lambda node: Task(1, {})).start()

    asyncio.run(live())


def test_settings_are_not_in_the_repr_of_a_task() -> None:
    assert "s3cret" not in repr(Task(1, {"password": "s3cret"}))
