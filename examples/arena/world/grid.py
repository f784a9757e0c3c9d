"""Which bodies are where: cells of equal size, so that no one looks through all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from examples.arena.world.bodies import Body

CELL = 8.0
"""The side of a cell in steps."""


class Grid:
    """Bodies by cell. Within a cell they are in the order in which they came.

    Args:
        size: the length of each side of the world.
    """

    def __init__(self, size: float) -> None:
        self.across = math.ceil(size / CELL)
        self.cells: list[dict[int, Body]] = [{} for _ in range(self.across**2)]

    def place(self, body: Body) -> None:
        """Note where a body is now."""
        cell = int(body.y / CELL) * self.across + int(body.x / CELL)
        if cell != body.cell:
            self.remove(body)
            self.cells[cell][body.number] = body
            body.cell = cell

    def remove(self, body: Body) -> None:
        """Forget a body."""
        if body.cell >= 0:
            del self.cells[body.cell][body.number]
            body.cell = -1

    def around(self, x: float, y: float, across: float, down: float) -> list[Body]:
        """Return the bodies in all cells that a rectangle touches.

        Args:
            x: its middle.
            y: its middle.
            across: half of its width.
            down: half of its height.
        """
        found: list[Body] = []
        for cell in cells_around(self.across, x, y, across, down):
            found += self.cells[cell].values()
        return found


def cells_around(width: int, x: float, y: float, across: float, down: float) -> Iterator[int]:
    """Yield the cells of a grid of this width that a rectangle touches, row by row."""
    last = width - 1
    left, right = max(0, int((x - across) / CELL)), min(last, int((x + across) / CELL))
    top, bottom = max(0, int((y - down) / CELL)), min(last, int((y + down) / CELL))
    for row in range(top * width, bottom * width + 1, width):
        yield from range(row + left, row + right + 1)
