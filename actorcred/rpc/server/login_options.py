"""The options that a client may send with its login. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from actorcred.errors import CallCode, CallError
from actorcred.rpc.protocol.codec import weigh
from actorcred.rpc.protocol.faults import FORMS, FaultForm

__all__ = ["LoginOptions"]


LARGEST_INFO = 4096
"""Bytes of memory of the option `info`, which is kept as long as the session."""


class LoginOptions(msgspec.Struct):
    """The third parameter of `cred.login`.

    Unknown options are ignored, so that newer clients can log in.

    Args:
        interface: the name of the requested interface, or several in order of preference; by
            default the realm's first one.
        client: name and version of the client, for the user's list of sessions.
        resume: whether the session must survive a lost connection.
        heartbeat: the client promises to call `cred.ping`, or anything else, in each interval of
            the server's limits.
        notifications: whether the client accepts messages that are not answers. If not, it gets
            only answers.
        errors: the form of errors, a `FaultForm`.
        move: whether the client resumes its session after the goodbye `moved`, with the token of
            that.
        info: what the client tells the realm, which reads `mind.info`; see `LARGEST_INFO`.
    """

    interface: str | list[str] | None = None
    client: list[str] | dict[str, str] | str = ""
    resume: bool = True
    heartbeat: bool = False
    notifications: bool = True
    errors: str = FaultForm.MAP
    move: bool = False
    info: dict[str, Any] = {}

    def __post_init__(self) -> None:
        # Not checked by the decoder, whose error names neither the option nor the allowed values.
        if self.errors not in FORMS:
            forms = ", ".join(FORMS)
            raise CallError(
                f"the option errors must be one of {forms}, not {self.errors[:20]!r}",
                CallCode.BAD_ARGUMENTS,
            )
        if self.info and weigh([self.info]) > LARGEST_INFO:
            raise CallError(
                f"the option info is too large: it may take {LARGEST_INFO} bytes of memory",
                CallCode.BAD_ARGUMENTS,
            )
