"""SASL mechanisms (RFC 4422), for servers and clients, without I/O: bytes from the peer become credentials or answers."""

__all__: list[str] = []
