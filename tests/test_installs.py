"""The project installed from a wheel, a source distribution and in editable mode.

mypy, pyright and Twisted find its contents.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.auth.test_third_party_plugin import ROOT, copy_project, pip

pytestmark = pytest.mark.slow

PROGRAM = """\
from actorcred import Portal, UsernamePassword
from actorcred.adapters.twisted import CredPortal

name: str = UsernamePassword("ann", "s3cret").username
wrong: int = name


def of(cred: CredPortal) -> None:
    reveal_type(cred.portal)
"""
WRONG_LINE = "5"


def run(*command: object, cwd: Path) -> str:
    """Run a program; return its output."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


class Environment:
    """A virtual environment with the project's dependencies.

    Attributes:
        python: its interpreter.
        home: a folder with a user's program, in which commands run.
        source: a copy of the project.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "program.py").write_text(PROGRAM)
        self.source = folder / "source"
        copy_project(self.source)
        subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
        self.python = folder / "environment" / "bin" / "python"
        pip(self.python, "install", "setuptools>=77", "wheel", f"{self.source}[twisted]")
        self.uninstall()
        shutil.rmtree(self.source / "build")  # its contents would get into the wheel

    def install(self, kind: str) -> None:
        """Install the project: "wheel", "sdist" or "editable"."""
        what = [self.source]
        if kind == "sdist":
            run(
                self.python,
                "-c",
                "import setuptools.build_meta as it; it.build_sdist('dist')",
                cwd=self.source,
            )
            what = [*self.source.glob("dist/*.tar.gz")]
        pip(
            self.python,
            "install",
            "--no-deps",
            "--no-build-isolation",
            *(["-e"] if kind == "editable" else []),
            *what,
        )

    def uninstall(self) -> None:
        pip(self.python, "uninstall", "--yes", "actorcred")

    def twistd(self, *words: str, cwd: Path | None = None) -> str:
        """Run `twistd words`."""
        return run(self.python.with_name("twistd"), "-n", "words", *words, cwd=cwd or self.home)

    def files_of_twisted(self) -> set[str]:
        """Return the modules in Twisted's folder."""
        code = (
            "import twisted, pathlib; "
            "print(*pathlib.Path(twisted.__file__).parent.rglob('*.py'), sep='\\n')"
        )
        return set(run(self.python, "-c", code, cwd=self.home).splitlines())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("installs"))


@pytest.fixture(scope="module", params=["wheel", "sdist", "editable"])
def installed(environment: Environment, request: pytest.FixtureRequest) -> Iterator[Environment]:
    """Install the project; after its tests nothing of it may remain, but all of Twisted."""
    before = environment.files_of_twisted()
    environment.install(request.param)
    yield environment
    environment.uninstall()
    assert environment.files_of_twisted() == before
    assert "actorcred" not in environment.twistd("--help-auth")
    assert "Traceback" not in environment.twistd("--help-auth")


IGNORED = shutil.ignore_patterns(
    *(ROOT / ".gitignore").read_text(encoding="utf-8").replace("/", "").split(),
    ".git",
    "_build",
    "found",
    "*.pyc",
)
"""What a work tree has, and a source distribution must not have."""


def test_a_source_distribution_has_every_file_of_the_project(environment, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=IGNORED)
    files = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    code = "import setuptools.build_meta as it; it.build_sdist('dist')"
    said = run(environment.python, "-c", code, cwd=copy)
    (built,) = copy.glob("dist/*.tar.gz")
    with tarfile.open(built) as archive:
        packed = {info.name.partition("/")[2] for info in archive if info.isfile()}

    assert files - packed == set(), said
    made = {path for path in packed - files if ".egg-info/" not in path}
    assert made == {"PKG-INFO"}


def test_twistd_offers_our_types_and_remembers_them(installed):
    for _ in range(2):  # the second time from `dropin.cache`
        listed = installed.twistd("--help-auth")
        assert re.search(r"^  sqlite +\tPATH$", listed, re.MULTILINE), listed
        assert "actorcred-file" in listed
        assert "Traceback" not in listed
    assert "actorcred passwd" in installed.twistd("--help-auth-type", "sqlite")


def test_types_of_another_package_come_and_go(installed, tmp_path):
    """Although Twisted caches the list of plugins."""
    shutil.copytree(ROOT / "docs/how-to/plugin", tmp_path / "ticket")
    known = installed.twistd("--help-auth-type", "actorcred")
    pip(installed.python, "install", "--no-deps", "--no-build-isolation", tmp_path / "ticket")
    assert "throttle, ticket, unix" in installed.twistd("--help-auth-type", "actorcred")
    assert "the ticket must be a number" in installed.twistd("--auth", "actorcred:ticket:soon")
    pip(installed.python, "uninstall", "--yes", "actorcred-ticket")

    assert installed.twistd("--help-auth-type", "actorcred") == known
    assert "throttle, unix" in known


def test_twisted_is_itself_in_the_source_folder(installed):
    """The source folder has a folder `twisted` as well."""
    assert "sqlite" in installed.twistd("--help-auth", cwd=installed.source)
    where = run(
        installed.python, "-c", "import twisted.cred; print(twisted.__file__)", cwd=installed.source
    )
    assert "site-packages" in where


def test_mypy_knows_the_types(installed):
    pytest.importorskip(
        "mypy", reason="mypy is not installed: pip install -r requirements/lint.txt"
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-incremental",
        "--python-executable",
        installed.python,
        "program.py",
    ]
    said = run(*command, cwd=installed.home)

    assert re.findall(r"^program.py:(\d+): error: .*\[(.*)\]$", said, re.MULTILINE) == [
        (WRONG_LINE, "assignment")
    ], said
    assert re.search(r'Revealed type is ".*actorcred.portal.ref.PortalRef"', said), said


def test_pyright_knows_the_types(installed):
    pyright = Path(sys.executable).with_name("pyright")
    if not pyright.exists():
        pytest.skip("pyright is not installed: pip install -r requirements/lint.txt")
    said = run(pyright, "--pythonpath", installed.python, "program.py", cwd=installed.home)

    assert re.findall(r"program.py:(\d+):\d+ - error: (.*)$", said, re.MULTILINE) == [
        (WRONG_LINE, 'Type "str" is not assignable to declared type "int"')
    ], said
    assert 'is "PortalRef"' in said, said
