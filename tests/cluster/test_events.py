"""The events of a cluster stand in the reference as they are."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path

from actorcred.cluster import events


def test_the_reference_lists_each_event_with_its_level_and_fields() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
    part = page.read_text().partition("## Events of a cluster")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in part.splitlines()
        if line.startswith("| `")
    ]
    kinds = [getattr(events, name) for name in events.__all__]
    assert sorted(row[:4] for row in rows) == sorted(
        [
            f"`{kind.name}`",
            f"`{kind.__name__}`",
            logging.getLevelName(kind.level).lower(),
            " ".join(f"`{one.name}`" for one in fields(kind) if one.name not in {"time", "node"}),
        ]
        for kind in kinds
    )
