"""Trusted proxies in front of a server, and what they report about their clients."""

__all__: list[str] = []
