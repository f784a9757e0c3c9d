"""Tells Twisted of actorcred's types of authentication; installed as a module of `twisted.plugins`, where Twisted looks.

Twisted keeps the names of this module's variables in `dropin.cache` until this file changes. So they do not depend on anything
else: types of other packages, which come and go, are behind `actorcred:TYPE`.
"""

import contextlib

TYPES = (
    "all", "allow", "anonymous", "cache", "deny", "file", "first", "htdigest", "ldap", "memory", "rename", "sql", "sqlite",
    "sshkey", "throttle", "unix",
)  # fmt: skip
"""Those that have credentials which Twisted knows."""

with contextlib.suppress(
    ImportError
):  # a plugin that cannot be loaded would be in the way of all others
    from actorcred.adapters.twisted.plugins import AnyTypeFactory, factories_for_twisted

    any_type = AnyTypeFactory()
    globals().update(factories_for_twisted(TYPES))
