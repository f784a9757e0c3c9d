"""Clients of a served portal."""

__all__: list[str] = []
