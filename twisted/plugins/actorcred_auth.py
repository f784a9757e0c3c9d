"""Registers actorcred's types of authentication with Twisted, as a module of `twisted.plugins`.

Twisted caches the names of this module's variables in `dropin.cache` until this file changes. So
the names must not depend on anything else: the types of other packages, which can be installed and
removed at any time, are available as `actorcred:TYPE`.
"""

import contextlib

TYPES = (
    "all", "allow", "anonymous", "cache", "deny", "file", "first", "htdigest", "ldap", "memory",
    "rename", "sql", "sqlite", "sshkey", "throttle", "unix",
)  # fmt: skip
"""The types with credentials that Twisted knows."""

# A plugin that cannot be loaded would also block all others.
with contextlib.suppress(ImportError):
    from actorcred.adapters.twisted.plugins import AnyTypeFactory, factories_for_twisted

    any_type = AnyTypeFactory()
    globals().update(factories_for_twisted(TYPES))
