"""Accounts that watched sources drop, under sessions that were opened through wrappers."""

from __future__ import annotations

PASSWORDS = {"ann": "right", "bob": "right"}
