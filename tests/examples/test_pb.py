"""The service of Perspective Broker's documentation, in its three variants."""

from __future__ import annotations

import asyncio

from tests.examples.started import run


def test_a_service_says_the_same_by_twisteds_realm_ours_and_our_wire():
    code, text = asyncio.run(run("examples.pb"))
    lines = text.splitlines()
    assert code == 0, text
    assert [line.partition(":")[0] for line in lines] == [
        "Twisted's realm by PB",
        "our realm by PB",
        "our realm by our wire",
    ]
    assert {line.partition(":")[2].strip() for line in lines} == {"ann said hello (heard hello)"}


def test_help_prints_the_use_and_serves_nothing():
    code, text = asyncio.run(run("examples.pb", "--help"))
    assert code == 0
    assert text.startswith("usage: python -m examples.pb")
    assert "said hello" not in text
