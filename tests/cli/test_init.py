"""The command as it is started: Ctrl-C leaves no traceback, and what is missing is named."""

from __future__ import annotations

import builtins
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from actorcred.cli import main


@pytest.fixture(autouse=True)
def usual_interrupt() -> Iterator[None]:
    usual = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what has the import of a package fail."""
    load = builtins.__import__

    def refuse(missing: str) -> None:
        def fail(name: str, *args: object, **kwargs: object) -> object:
            if name == "actorcred.cli.commands":
                raise ImportError(f"No module named {missing!r}", name=missing)
            return load(name, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(builtins, "__import__", fail)

    return refuse


def test_it_runs_the_command_and_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["actorcred", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("actorcred, version ")
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # while the interpreter exits


def test_without_its_extra_it_says_what_to_install(without: Callable[[str], None]) -> None:
    without("click")
    with pytest.raises(SystemExit, match=r"pip install 'actorcred\[cli\]'"):
        main()


def test_another_missing_module_is_shown_as_it_is(without: Callable[[str], None]) -> None:
    without("msgpack")
    with pytest.raises(ImportError, match="msgpack"):
        main()
