"""What a client may say of itself with its login. Pure."""

from __future__ import annotations

import msgspec

from actorcred.rpc.protocol.faults import FaultForm

__all__ = ["LoginOptions"]


_FORMS = [str(form) for form in FaultForm]


class LoginOptions(msgspec.Struct):
    """The third parameter of `cred.login`. What is not known here is ignored, so that newer clients can log in.

    Args:
        interface: the name of the wanted interface, or several, the dearest first; by default the realm's first one.
        client: name and version of the client, for the user's list of sessions.
        resume: whether the session is to outlive a lost connection.
        heartbeat: the client promises to call `cred.ping`, or anything else, at each interval of the server's limits.
        notifications: whether the client takes what the server sends by itself. One that does not gets answers only.
        errors: the form of errors, a `FaultForm`.
    """

    interface: str | list[str] | None = None
    client: list[str] | dict[str, str] | str = ""
    resume: bool = True
    heartbeat: bool = False
    notifications: bool = True
    errors: str = FaultForm.MAP

    def __post_init__(self) -> None:
        # Not left to the decoder, which says neither what is allowed nor, in its path, which option it was.
        if self.errors not in _FORMS:
            raise ValueError(
                f"the option errors must be one of {', '.join(_FORMS)}, not {self.errors[:20]!r}"
            )
