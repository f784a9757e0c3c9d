"""What several checkers share."""

__all__: list[str] = []
