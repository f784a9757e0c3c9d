"""Base classes of checkers, and code that several of them share."""

__all__: list[str] = []
