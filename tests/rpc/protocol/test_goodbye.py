"""The codes of a goodbye are the same in the package, in the browser's client and on the page."""

from __future__ import annotations

import re
from pathlib import Path

import actorcred
from actorcred.logout import LogoutCode
from actorcred.rpc.protocol.goodbye import FINAL, GoodbyeCode

PACKAGE = Path(actorcred.__file__).parent
PAGE = PACKAGE.parent / "docs" / "protocol.md"


def table() -> dict[str, bool]:
    """Return the codes of the page, and whether a client reconnects after each."""
    rows = re.search(r"\| code \| cause \| reconnect \|\n\|.*\n((?:\|.*\n)+)", PAGE.read_text())
    assert rows is not None
    found = {}
    for row in rows[1].splitlines():
        codes, _, reconnect = (cell.strip() for cell in row.strip("|").split("|"))
        found |= dict.fromkeys(re.findall(r"`([a-z-]+)`", codes), reconnect.startswith("yes"))
    return found


def test_the_page_lists_all_codes_and_after_which_a_client_reconnects() -> None:
    sent = {str(code) for code in (*LogoutCode, *GoodbyeCode)}
    assert set(table()) == sent
    assert {code for code, reconnects in table().items() if not reconnects} == FINAL


def test_the_browsers_client_has_the_same_final_codes() -> None:
    script = (PACKAGE / "rpc" / "browser" / "actorcred.js").read_text()
    final = re.search(r"FINAL = new Set\(\[(.*?)\]\)", script, re.DOTALL)
    assert final is not None
    assert set(re.findall(r'"([a-z-]+)"', final[1])) == FINAL
