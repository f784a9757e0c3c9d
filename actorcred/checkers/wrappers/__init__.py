"""Checkers around checkers."""

__all__: list[str] = []
