"""What comes of each checker with each kind of credentials, by real logins.

docs/reference/outcomes.md shows it. `make outcomes` writes that page anew; here each of its rows is
compared with what happens.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.checkers.outcome_rows import COLUMNS, NOTHING, ROWS

PAGE = Path(__file__).parents[2] / "docs/reference/outcomes.md"

rows: list[str] = []
"""What this run has found, for the page."""

HEADER = """# Outcomes

What comes of a login with each checker and each kind of credentials. `make outcomes` writes this \
page by real logins: with
PostgreSQL, MariaDB, OpenLDAP, PAM, and an issuer of tokens over HTTP, which are stopped for \
"down" and frozen for "slow". The tests
compare each row with what happens.

* **in**: the user gets in. **refused**, **unavailable**: the codes of [errors](errors.md), which \
are all that a client learns.
* **hostile name**: each of `actorcred.testing.HOSTILE_NAMES` with an otherwise right secret: \
quotes, wildcards, control and bidi
  characters, paths, 10 MB.
* **disabled**: an account that is disabled, locked, expired or revoked; for a code, one that was \
used before.
* **-**: there is no such thing with this checker.

The checkers around others are around one that asks PostgreSQL. `CachingChecker` remembers ann, \
so she gets in while it is down.

"""


@pytest.mark.parametrize(("checker", "kind"), ROWS, ids=lambda text: text)
def test_the_outcomes_are_those_in_the_reference(checker: str, kind: str, tmp_path: Path) -> None:
    made = ROWS[checker, kind](tmp_path)
    with made if hasattr(made, "__exit__") else contextlib.nullcontext(made) as row:
        found = row.outcomes()
    assert found["right"] == "in"
    for column in ("wrong", "unknown user", "hostile name", "disabled"):
        assert found[column] in ("refused", NOTHING)
    for column in ("down", "slow"):
        assert found[column] in ("unavailable", NOTHING) or (checker, column) in REMEMBERED
    line = f"| {checker} | {kind} | {' | '.join(found.values())} |"
    rows.append(line)
    if WRITING not in os.environ:
        assert line in PAGE.read_text().splitlines(), "make outcomes"


WRITING = "ACTORCRED_WRITE_OUTCOMES"
REMEMBERED = {("CachingChecker", "down"), ("CachingChecker", "slow"), ("SQLiteChecker", "slow")}
"""Where a back end that is down or slow is no hindrance."""


def test_the_reference_has_all_rows_and_no_other() -> None:
    if WRITING in os.environ and len(rows) == len(ROWS):
        head = [
            f"| checker | credentials | {' | '.join(COLUMNS)} |",
            "| --- " * (len(COLUMNS) + 2) + "|",
        ]
        PAGE.write_text(HEADER + "\n".join([*head, *rows, ""]))
    lines = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert [(line[0].removeprefix("| "), line[1]) for line in lines[2:]] == list(ROWS)
