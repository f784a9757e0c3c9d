"""The wire without I/O: codecs, messages, addresses."""

__all__: list[str] = []
