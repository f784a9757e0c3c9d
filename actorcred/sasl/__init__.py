"""SASL (RFC 4422) without I/O: mechanisms, the stepper that drives a login, and HTTP Digest."""

__all__: list[str] = []
