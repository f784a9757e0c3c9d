"""Create checkers from strings: descriptors, plugins, a registry, and command-line options."""

__all__: list[str] = []
