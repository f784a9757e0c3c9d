"""The portal: an actor that joins protocols, checkers and a realm, and owns every session."""

__all__: list[str] = []
