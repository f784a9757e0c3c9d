"""The table of figures: ours beside a peer in the same round, the ratio, and the target."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rich.table import Table

from tests.benchmarks.measure import Spread

Pairs = list[list[float]]
"""Ours and the peer's value of each round."""


@dataclass(frozen=True)
class Target:
    """A limit of a figure.

    Args:
        limit: of the median.
        ratio: whether it is one of the ratio, and not of our value.
        least: whether it is a minimum, and not a maximum.
        always: whether it is one of each round, and not of the median.
    """

    limit: float
    ratio: bool = True
    least: bool = False
    always: bool = False

    def kept(self, pairs: Pairs) -> bool:
        """Return whether the limit is kept."""
        spread = Spread.of(ratios(pairs) if self.ratio else [ours for ours, _ in pairs])
        if self.least:
            return (spread.least if self.always else spread.median) >= self.limit
        return (spread.most if self.always else spread.median) <= self.limit

    def text(self, unit: str) -> str:
        """Return it with its unit."""
        sign = ">=" if self.least else "<="
        always = ", always" if self.always else ""
        return f"{sign} {self.limit:g} {'x' if self.ratio else unit}{always}"


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    Args:
        name: what is measured.
        unit: of both values.
        peer: what it is beside.
        source: where its values come from; the command's own business.
        key: of the values among those of the source.
        target: to reach.
    """

    name: str
    unit: str
    peer: str
    source: str
    key: str = ""
    target: Target | None = None


def ratios(pairs: Pairs) -> list[float]:
    """Return the ratio of each round; not a number where the peer's value is 0."""
    return [ours / peer if peer else math.nan for ours, peer in pairs]


def targets_table(title: str, rows: Iterable[tuple[Figure, Pairs | str]]) -> Table:
    """Return a table of figures; in place of values there can be a text that says what is missing.

    Each value is the median of the rounds, with the least and the most.
    """
    table = Table("figure", "ours", "peer", "ratio", "beside", "target", "", title=title)
    for figure, pairs in rows:
        limit = figure.target.text(figure.unit) if figure.target else ""
        if isinstance(pairs, str):
            table.add_row(figure.name, pairs, "", "", figure.peer, limit, "")
            continue
        table.add_row(
            figure.name,
            f"{Spread.of([ours for ours, _ in pairs])} {figure.unit}",
            f"{Spread.of([peer for _, peer in pairs])} {figure.unit}",
            f"{Spread.of(ratios(pairs))} x",
            figure.peer,
            limit,
            "" if figure.target is None else "kept" if figure.target.kept(pairs) else "MISSED",
        )
    return table
