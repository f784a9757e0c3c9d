"""The methods that all benchmark servers have: echo, and broadcast."""

from __future__ import annotations

COUNTS = {"sessions": 1000, "calls": 40000, "sequential": 4000, "rounds": 20, "idle": 5000}
"""How often each thing is done; scaled by `--scale`."""

LOGINS_IN_FLIGHT = 50
CALLS_IN_FLIGHT = 64
