"""How an error looks on the wire: as a map, or in one of the forms that other clients of MessagePack-RPC show. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from actorcred.errors import CallCode, CallError

__all__ = ["FaultForm", "fault_of", "read_fault"]


class FaultForm(StrEnum):
    """What a client wants errors to be. MessagePack-RPC leaves that open."""

    MAP = "map"
    """`{"code": code, "message": message, "retry_after": seconds}`; the last one where trying again makes sense."""

    LIST = "list"
    """`[code, message]`, of which Neovim's client for Python shows the message."""

    TEXT = "text"
    """`"code: message"`, which Neovim itself shows, as do clients that take an error for a text."""


def fault_of(error: CallError, form: FaultForm = FaultForm.MAP) -> Any:
    """Return what is sent for an error."""
    if form is FaultForm.LIST:
        return [error.code, error.message]
    if form is FaultForm.TEXT:
        return f"{error.code}: {error.message}"
    fault: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.retry_after is not None:
        fault["retry_after"] = error.retry_after
    return fault


def read_fault(fault: Any) -> CallError:
    """Return the error that a peer sent; whatever else peers make of errors is taken as its message."""
    if isinstance(fault, dict):
        code, message = fault.get("code", CallCode.FAILED), fault.get("message", "")
        return CallError(str(message), str(code), retry_after=fault.get("retry_after"))
    if isinstance(fault, list) and len(fault) == 2:
        return CallError(str(fault[1]), str(fault[0]))
    return CallError(str(fault))
