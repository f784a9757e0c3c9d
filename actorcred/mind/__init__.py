"""The mind: an actor per session that stands for the client."""

__all__: list[str] = []
