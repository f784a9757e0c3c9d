"""All faults, in the order of the table."""

from __future__ import annotations

from tests.faults import ends, floods, lines, roles, world  # noqa: F401
from tests.faults.fault import FAULTS

__all__ = ["FAULTS"]
