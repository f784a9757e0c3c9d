"""Tells Twisted of actorcred's types of authentication; installed as a module of `twisted.plugins`, where Twisted looks."""

import contextlib

with contextlib.suppress(ImportError):  # a plugin that cannot be loaded would be in the way of all others
    from actorcred.adapters.twisted.plugins import factories_for_twisted

    globals().update(factories_for_twisted())
