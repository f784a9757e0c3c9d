"""Passwords: hashing, hash formats of files and databases, and the policy for new passwords."""

__all__: list[str] = []
