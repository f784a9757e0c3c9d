"""How Twisted's protocols tell a client that its login was denied without being looked at.

Their own answers know only "wrong", or close nothing. Twisted has no hooks for others, so the next
answer of one protocol object is replaced; its class stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from actorcred.errors import LoginDenied

__all__ = ["ANSWERS", "Answer", "name_in", "replace_next"]

Answer = Callable[[Any, LoginDenied], bool]
"""Prepares the answer of a protocol; returns whether the connection must be closed after it."""

UNAUTHORIZED, TOO_MANY_REQUESTS = 401, 429


def name_in(protocol: Any, table: Any) -> str:
    """Return the first of a protocol's classes that is in a table by its full name; "" if none."""
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(protocol).__mro__)
    return next((name for name in names if name in table), "")


def replace_next(target: Any, method: str, other: Callable[..., object]) -> None:
    """Have the next call of a method of one object call another function instead."""

    def once(*args: Any, **kwargs: Any) -> object:
        vars(target).pop(method, None)
        return other(*args, **kwargs)

    vars(target)[method] = once


def _pop3(protocol: Any, error: LoginDenied) -> bool:
    text = f"[SYS/TEMP] {error}".encode()  # RFC 3206
    replace_next(protocol, "failResponse", lambda _="": protocol.failResponse(text))
    return error.close


def _imap(protocol: Any, error: LoginDenied) -> bool:
    text = f"[UNAVAILABLE] {error}".encode()  # RFC 5530

    def answer(tag: bytes | None = None, _: bytes = b"") -> None:
        protocol.sendNegativeResponse(tag, text)

    replace_next(protocol, "sendNegativeResponse", answer)
    return error.close


def _smtp(protocol: Any, error: LoginDenied) -> bool:
    text = f"4.7.0 {error}".encode()
    replace_next(protocol, "sendCode", lambda _code, _text=b"": protocol.sendCode(421, text))
    return True


def _http(protocol: Any, error: LoginDenied) -> bool:
    requests = getattr(getattr(protocol, "_channel", protocol), "requests", ())
    if not requests:
        return False
    request = requests[-1]
    if error.retry_after is not None:
        request.setHeader(b"retry-after", str(math.ceil(error.retry_after)).encode())
    if error.close:
        request.setHeader(b"connection", b"close")

    def status(code: int, message: bytes | None = None) -> None:
        request.setResponseCode(TOO_MANY_REQUESTS if code == UNAUTHORIZED else code, message)

    replace_next(request, "setResponseCode", status)
    return False  # the request itself does that, after its answer


ANSWERS: dict[str, Answer] = {
    "twisted.mail.pop3.POP3": _pop3,
    "twisted.mail.imap4.IMAP4Server": _imap,
    "twisted.mail.smtp.ESMTP": _smtp,
    "twisted.web.http.HTTPChannel": _http,
    "twisted.web.http._GenericHTTPChannelProtocol": _http,
}
"""By class name: the protocols whose commands must be answered.

Others are sent their farewell, and closed.
"""
