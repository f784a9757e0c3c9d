"""The portal: an actor that connects protocols, checkers and a realm, and owns all sessions."""

__all__: list[str] = []
