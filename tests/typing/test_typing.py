"""mypy and pyright see what is right and what is wrong in the programs of this folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from actorcred.cli.stubs import stubs

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WRONG = HERE / "wrong.py"


def run(*command: object) -> str:
    """Run a program in the project's folder; return its output."""
    done = subprocess.run(
        [*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout + done.stderr


def mypy() -> set[tuple[str, int]]:
    """Return the lines of this folder's programs in which mypy sees an error."""
    pytest.importorskip("mypy", reason="mypy is not installed: pip install -e '.[lint]'")
    files = [HERE / name for name in ("api.py", "right.py", "wrong.py")]
    said = run(sys.executable, "-m", "mypy", "--strict", *files)
    assert re.search(r"^Found \d+ errors? in ", said, re.MULTILINE), said
    found = re.findall(r"^(\S+):(\d+): error: ", said, re.MULTILINE)
    return {(Path(path).name, int(line)) for path, line in found}


def pyright() -> set[tuple[str, int]]:
    """Return the lines of this folder's programs in which pyright sees an error."""
    program = Path(sys.executable).with_name("pyright")
    if not program.exists():
        pytest.skip("pyright is not installed: pip install -e '.[lint]'")
    said = run(program, "--outputjson", "--pythonpath", sys.executable, HERE)
    found = [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in json.loads(said)["generalDiagnostics"]
        if one["severity"] == "error"
    ]
    return {(name, line) for name, line in found if not name.startswith("test_")}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_type_checker_refuses_each_wrong_line_and_no_other(checker):
    lines = WRONG.read_text().splitlines()
    expected = {(WRONG.name, n) for n, line in enumerate(lines, 1) if line.endswith("  # error")}
    assert len(expected) > 20
    assert checker() == expected


def test_the_stub_of_this_folder_is_what_the_command_writes():
    path = str(HERE / "player_proxy.py")
    done = CliRunner().invoke(stubs, ["tests.typing.game:Player", "--output", path, "--check"])
    assert done.exit_code == 0, done.output
