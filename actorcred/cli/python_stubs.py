"""Stubs of proxies in Python: a class whose methods return futures."""

from __future__ import annotations

import builtins
import collections.abc
import enum
import inspect
import json
import types
import typing
from typing import Any

from actorcred.actors import Future
from actorcred.cli.interfaces import InterfaceError, InterfaceMethod, methods_in

__all__ = ["python_stub"]

WIDTH = 100
"""Columns of a line, where that is possible."""

_IMPORTED_FROM = frozenset({"actorcred", "collections.abc", "typing"})
"""Modules whose names are imported; of others the module is, which can have no name in common."""

_STARS: dict[int, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}

_TEXT = '''\
# isort: skip_file
"""The proxy of a `{name}` for type checkers: `avatar.proxy({name}Proxy)`.

Made by `actorcred stubs {path}`. Make it again when the interface has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
{imports}

__all__ = ["{name}Proxy"]


class {name}Proxy(Protocol):
    """The methods of `{path}`, each of which returns a future."""

{methods}
'''


def python_stub(path: str, interface: type) -> str:
    """Return a Python module with the stub of a proxy.

    Args:
        path: MODULE:INTERFACE, for its text.
        interface: the class.

    Raises:
        InterfaceError: if the types of a method cannot be written.
    """
    methods = methods_in(interface)
    writer = _Writer({method.name for method in methods})
    written = [writer.method(method) for method in methods]
    return _TEXT.format(
        name=interface.__name__,
        path=path,
        imports="\n".join(f"    {line}" for line in writer.imports()),
        methods="\n".join(written),
    )


class _Writer:
    """Writes annotations, and remembers the imports that they need.

    Args:
        taken: the names of the methods, which hide other names in the class.
    """

    def __init__(self, taken: set[str]) -> None:
        self._modules: set[str] = set()
        self._names: dict[str, set[str]] = {}
        self._taken = taken

    def imports(self) -> list[str]:
        """Return the lines of the imports."""
        names = [(module, ", ".join(sorted(self._names[module]))) for module in sorted(self._names)]
        return [
            *(f"import {module}" for module in sorted(self._modules)),
            *(f"from {module} import {some}" for module, some in names),
        ]

    def method(self, method: InterfaceMethod) -> str:
        """Return the lines of a method."""
        parameters = self._parameters(method)
        future = self._named("actorcred", "Future")
        result = f"{future}[{self._in(method, method.result)}]: ..."
        line = f"    def {method.name}({', '.join(['self', *parameters])}) -> {result}"
        if len(line) <= WIDTH:
            return line
        body = "".join(f"        {one},\n" for one in ["self", *parameters])
        return f"    def {method.name}(\n{body}    ) -> {result}"

    def _parameters(self, method: InterfaceMethod) -> list[str]:
        written: list[str] = []
        before: int = inspect.Parameter.POSITIONAL_ONLY  # the first one of an IntEnum
        for one in method.parameters:
            kind: int = one.kind
            if before == one.POSITIONAL_ONLY < kind and written:
                written.append("/")
            if before < one.VAR_POSITIONAL and kind == one.KEYWORD_ONLY:
                written.append("*")
            default = "" if one.default is one.empty else " = ..."
            annotation = self._in(method, one.annotation)
            written.append(f"{_STARS.get(kind, '')}{one.name}: {annotation}{default}")
            before = kind
        if before == inspect.Parameter.POSITIONAL_ONLY and written:
            written.append("/")
        return written

    def _in(self, method: InterfaceMethod, kind: Any) -> str:
        try:
            return self._type(kind)
        except InterfaceError as error:
            raise InterfaceError(f"{method.where}(): {error}") from None

    def _type(self, kind: Any) -> str:
        if kind is None or kind is types.NoneType:
            return "None"
        if kind is Any:
            return self._named("typing", "Any")
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is None:
            return self._plain(kind)
        if origin in {typing.Union, types.UnionType}:
            return " | ".join(self._type(one) for one in arguments)
        if origin is typing.Literal:
            inside = ", ".join(self._literal(one) for one in arguments)
            return f"{self._named('typing', 'Literal')}[{inside}]"
        if origin is collections.abc.Callable:
            inside = ", ".join(self._type(one) for one in arguments)
            return f"{self._named('collections.abc', 'Callable')}[{inside}]"
        if not arguments:  # such as `tuple[()]`, and `typing.List`
            is_empty = origin is tuple and isinstance(kind, types.GenericAlias)
            return self._plain(origin) + ("[()]" if is_empty else "")
        inside = ", ".join(self._type(one) for one in arguments)
        return f"{self._plain(origin)}[{inside}]"

    def _plain(self, kind: Any) -> str:
        """Write a name, or a list of parameters of a callable."""
        if kind is ...:
            return "..."
        if kind is Future:
            return self._named("actorcred", "Future")
        if isinstance(kind, list):
            return f"[{', '.join(self._type(one) for one in kind)}]"
        module = getattr(kind, "__module__", None)
        name = getattr(kind, "__qualname__", None) or getattr(kind, "__name__", None)
        has_name = isinstance(kind, type | typing.NewType) or type(kind).__name__ == "TypeAliasType"
        if not (has_name and isinstance(name, str) and isinstance(module, str)):
            raise InterfaceError(f"the annotation {kind!r} cannot be written in a stub")
        if "<locals>" in name:
            raise InterfaceError(f"{name} is local to a function, so a stub cannot import it")
        return self._named(module, name)

    def _named(self, module: str, name: str) -> str:
        """Return how to write a name, and import its module if it must be."""
        first = name.partition(".")[0]
        if module == "builtins" and name not in self._taken and hasattr(builtins, name):
            return name
        if self._taken & {first, module.partition(".")[0]}:
            alias = "_" + module.replace(".", "_")
            self._modules.add(f"{module} as {alias}")
            return f"{alias}.{name}"
        if module in _IMPORTED_FROM:
            self._names.setdefault(module, set()).add(first)
            return name
        self._modules.add(module)
        return f"{module}.{name}"

    def _literal(self, value: Any) -> str:
        if isinstance(value, enum.Enum):
            return f"{self._plain(type(value))}.{value.name}"
        return json.dumps(value) if isinstance(value, str) else repr(value)
