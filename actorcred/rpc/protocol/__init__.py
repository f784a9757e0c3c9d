"""The wire protocol without I/O: codecs, messages, addresses."""

__all__: list[str] = []
