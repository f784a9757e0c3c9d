"""Serving a portal on the network."""

__all__: list[str] = []
