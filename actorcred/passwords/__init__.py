"""Passwords: hashing, the formats that files and databases bring, and the policy for new ones."""

__all__: list[str] = []
