"""Classes that an argument of the command names."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from typing import Any

__all__ = ["find_class"]


def find_class(path: str) -> type:
    """Return the class that MODULE:CLASS names. The current folder is searched, too.

    Raises:
        ValueError: if there is none; the text begins with the path.
    """
    module_name, _, name = path.partition(":")
    if not (module_name and name):
        raise ValueError(f"{path!r} must have the form MODULE:CLASS")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        module: Any = importlib.import_module(module_name)
        found = functools.reduce(getattr, name.split("."), module)
    except ImportError as error:
        raise ValueError(f"{path!r}: {error}") from None
    except AttributeError:
        raise ValueError(f"{path!r}: the module has no {name!r}") from None
    if not isinstance(found, type):
        raise ValueError(f"{path!r} is not a class")
    return found
