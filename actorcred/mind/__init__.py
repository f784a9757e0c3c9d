"""The mind: an actor per session that stands for the client."""
