"""Errors on the wire: as a map, or in a form that other MessagePack-RPC clients display. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from actorcred.errors import CallCode, CallError

__all__ = ["FORMS", "MAP", "FaultForm", "fault_of", "read_fault"]


class FaultForm(StrEnum):
    """The form of errors that a client requests. MessagePack-RPC does not specify one."""

    MAP = "map"
    """`{"code": code, "message": message, "retry_after": seconds}`.

    `retry_after` is present only if trying again makes sense.
    """

    LIST = "list"
    """`[code, message]`; Neovim's Python client displays the message."""

    TEXT = "text"
    """`"code: message"`; Neovim displays it, as do other clients that expect a string."""


MAP: Final = FaultForm.MAP
"""In Python 3.11, an attribute of an enum takes six times as long as a name."""

FORMS: Final = {str(form): form for form in FaultForm}
"""The forms by their names."""


def fault_of(error: CallError, form: FaultForm = FaultForm.MAP) -> Any:
    """Return an error as it is sent."""
    if form is FaultForm.LIST:
        return [error.code, error.message]
    if form is FaultForm.TEXT:
        return f"{error.code}: {error.message}"
    fault: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.retry_after is not None:
        fault["retry_after"] = error.retry_after
    return fault


def read_fault(fault: Any) -> CallError:
    """Return the error that a peer sent; a value of an unknown form becomes its message."""
    if isinstance(fault, dict):
        code, message = fault.get("code", CallCode.FAILED), fault.get("message", "")
        return CallError(str(message), str(code), retry_after=fault.get("retry_after"))
    if isinstance(fault, list) and len(fault) == 2:
        return CallError(str(fault[1]), str(fault[0]))
    return CallError(str(fault))
