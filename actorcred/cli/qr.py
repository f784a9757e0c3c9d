"""QR codes on a terminal."""

from __future__ import annotations

import io

from actorcred.errors import MissingExtra

__all__ = ["qr_code"]

_BLACK_AND_WHITE, _USUAL = "\x1b[97;40m", "\x1b[0m"


def qr_code(text: str) -> str:
    """Return a QR code (ISO/IEC 18004) of half blocks, in white on black whatever the theme is.

    Args:
        text: what it encodes.

    Raises:
        MissingExtra: if the package segno is not installed.
    """
    try:
        import segno
    except ImportError:
        raise MissingExtra("a QR code", "otp") from None
    drawn = io.StringIO()
    segno.make_qr(text).terminal(drawn, compact=True)
    return "\n".join(
        f"{_BLACK_AND_WHITE}{line}{_USUAL}" for line in drawn.getvalue().rstrip("\n").split("\n")
    )
