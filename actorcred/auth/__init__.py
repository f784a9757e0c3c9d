"""Create checkers from strings: descriptors, plugins and their registry, and command-line options."""

__all__: list[str] = []
