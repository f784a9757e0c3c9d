"""Checkers that wrap other checkers."""

__all__: list[str] = []
