"""Interfaces in TypeScript, for clients that speak JSON, such as the one for browsers."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Iterable
from typing import Any, TypeAlias

import pykka
from msgspec import inspect as shapes

from actorcred.actors import Future
from actorcred.cli.interfaces import InterfaceError, InterfaceMethod, methods_in
from actorcred.methods import methods_of

__all__ = ["typescript_stub"]

_TEXT = """\
// The interface `{name}` of the server, as clients see it that speak JSON.
//
//     import {{ connect }} from "./actorcred.js";
//     import type {{ {name} }} from "./{file}.js";
//     const client = await connect<{name}>("/rpc/socket", {{ username, password }});
//
// Made by `actorcred stubs {path} --language ts`. Make it again when the interface has changed.

export interface {name} {{
{methods}
}}
"""

_SCALARS: dict[type, str] = {
    shapes.AnyType: "unknown",
    shapes.NoneType: "null",
    shapes.BoolType: "boolean",
    shapes.IntType: "number",
    shapes.FloatType: "number",
    shapes.StrType: "string",
    shapes.BytesType: "string",
    shapes.ByteArrayType: "string",
    shapes.MemoryViewType: "string",
    shapes.DateTimeType: "string",
    shapes.DateType: "string",
    shapes.TimeType: "string",
    shapes.TimeDeltaType: "string",
    shapes.UUIDType: "string",
    shapes.DecimalType: "string",
    shapes.ExtType: "unknown",
    shapes.RawType: "unknown",
}

_Object: TypeAlias = shapes.DataclassType | shapes.TypedDictType | shapes.StructType

_RESERVED = frozenset({
    "arguments", "case", "catch", "const", "debugger", "default", "delete", "do", "enum", "eval",
    "export", "extends", "false", "function", "implements", "instanceof", "interface", "let", "new",
    "null", "package", "private", "protected", "public", "static", "super", "switch", "this",
    "throw", "true", "typeof", "var", "void",
})  # fmt: skip
"""Words that cannot be the name of a parameter in TypeScript, but in Python."""


def typescript_stub(path: str, interface: type) -> str:
    """Return a TypeScript module with an interface, and with the types that it uses.

    Args:
        path: MODULE:INTERFACE, for its text.
        interface: the class.

    Raises:
        InterfaceError: if a method cannot be called over the wire.
    """
    try:
        methods_of(interface)  # checks what clients can send
    except TypeError as error:
        raise InterfaceError(str(error)) from None
    methods = methods_in(interface)
    writer = _Writer(interface.__name__)
    # What clients send comes first: its fields that have a default can be omitted.
    parameters = [writer.parameters(method) for method in methods]
    declared = writer.declarations(sent=True)
    lines = [
        f"  {method.name}({sent}): {writer.result(method)};"
        for method, sent in zip(methods, parameters, strict=True)
    ]
    declared += writer.declarations(sent=False)
    text = _TEXT.format(
        name=interface.__name__,
        file=interface.__name__.lower(),
        path=path,
        methods="\n".join(lines),
    )
    return "\n".join([text, *declared])


class _Writer:
    """Writes types, and remembers those that must be declared.

    Args:
        taken: the name of the interface, which no type may have.
    """

    def __init__(self, taken: str) -> None:
        self._named: dict[str, type | None] = {taken: None}
        self._waiting: list[_Object] = []

    def parameters(self, method: InterfaceMethod) -> str:
        """Return the parameters of a method; those by keyword cannot be sent."""
        return ", ".join(
            self._parameter(method, one)
            for one in method.parameters
            if one.kind not in {one.KEYWORD_ONLY, one.VAR_KEYWORD}
        )

    def _parameter(self, method: InterfaceMethod, one: inspect.Parameter) -> str:
        name = f"{one.name}_" if one.name in _RESERVED else one.name
        kind = self._of(one.annotation, f"{method.where}({one.name})")
        if one.kind is one.VAR_POSITIONAL:
            return f"...{name}: {_element(kind)}[]"
        return f"{name}{'' if one.default is one.empty else '?'}: {kind}"

    def result(self, method: InterfaceMethod) -> str:
        """Return the type of a method's result; of a future the server sends what it holds."""
        result = method.result
        if typing.get_origin(result) in {Future, pykka.Future}:
            (result,) = typing.get_args(result)
        return self._of(result, f"the result of {method.where}()")

    def _of(self, kind: Any, where: str) -> str:
        try:
            return self._type(shapes.type_info(kind))
        except (TypeError, InterfaceError) as error:
            raise InterfaceError(f"{where} cannot be sent over the wire: {error}") from None

    def _type(self, shape: shapes.Type) -> str:  # noqa: C901, PLR0911  # a table
        match shape:
            case shapes.Metadata():
                return self._type(shape.type)
            case shapes.LiteralType():
                return _values(shape.values)
            case shapes.EnumType():
                return _values(one.value for one in shape.cls)
            case shapes.UnionType():
                return " | ".join(dict.fromkeys(self._type(one) for one in shape.types))
            case shapes.CollectionType():
                return f"{_element(self._type(shape.item_type))}[]"
            case shapes.TupleType():
                return f"[{', '.join(self._type(one) for one in shape.item_types)}]"
            case shapes.DictType():  # JSON has no other keys
                return f"{{ [key: string]: {self._type(shape.value_type)} }}"
            case shapes.NamedTupleType() | shapes.StructType(array_like=True):
                return f"[{', '.join(self._type(one.type) for one in shape.fields)}]"
            case (
                shapes.DataclassType()
                | shapes.TypedDictType()
                | shapes.StructType(array_like=False)
            ):
                return self._object(shape)
        if type(shape) in _SCALARS:
            return _SCALARS[type(shape)]
        raise InterfaceError(
            f"{getattr(shape, 'cls', shape)!r} is not a number, string, bytes, list, dict or "
            "dataclass"
        )

    def _object(self, shape: _Object) -> str:
        name = shape.cls.__name__
        if name not in self._named:
            self._named[name] = shape.cls
            self._waiting.append(shape)
        if self._named[name] is not shape.cls:
            raise InterfaceError(f"two types have the name {name}; give one of them another name")
        return name

    def declarations(self, *, sent: bool) -> list[str]:
        """Return the declarations of the types that were written since the last call.

        Args:
            sent: whether clients send them.
        """
        declared = []
        while self._waiting:
            shape = self._waiting.pop(0)
            lines = [f"export interface {shape.cls.__name__} {{"]
            if isinstance(shape, shapes.StructType) and shape.tag_field is not None:
                lines.append(f"  {_key(shape.tag_field)}: {json.dumps(shape.tag)};")
            can_lack = sent or isinstance(shape, shapes.TypedDictType)
            for one in shape.fields:
                mark = "?" if can_lack and not one.required else ""
                lines.append(f"  {_key(one.encode_name)}{mark}: {self._type(one.type)};")
            declared.append("\n".join([*lines, "}", ""]))
        return declared


def _key(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)


def _values(values: Iterable[object]) -> str:
    return " | ".join(json.dumps(value) for value in values)


def _element(kind: str) -> str:
    """Return the type of an array's elements, in brackets if it is a union."""
    return f"({kind})" if " | " in kind else kind
