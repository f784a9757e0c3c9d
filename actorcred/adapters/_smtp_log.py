"""A filter that removes clients' input from aiosmtpd's log.

A client might send a password where a command is expected.
"""

from __future__ import annotations

import logging

__all__ = ["hide_what_clients_send"]

COMMANDS = frozenset(
    (
        "AUTH",
        "DATA",
        "EHLO",
        "EXPN",
        "HELO",
        "HELP",
        "MAIL",
        "NOOP",
        "QUIT",
        "RCPT",
        "RSET",
        "STARTTLS",
        "VRFY",
    )
)
HIDDEN = "(not shown)"

_QUOTES = ("readline", ">>", "<<", "unrecognised", "over limit", "decode base64")
"""Parts of the formats of log records that quote a client, or an answer that might quote it."""


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Reduce a quoted line to its command or the code of the answer."""
        quotes = any(part in str(record.msg) for part in _QUOTES)
        if quotes and record.args and isinstance(record.args, tuple):
            *others, quoted = record.args
            record.args = (*others, _command_of(quoted))
        return True


def _command_of(quoted: object) -> str:
    text = quoted.decode("ascii", "replace") if isinstance(quoted, bytes) else str(quoted)
    word = text.strip().partition(" ")[0].upper()
    return word if word in COMMANDS or (len(word) == 3 and word.isdigit()) else HIDDEN


def hide_what_clients_send() -> None:
    """Have aiosmtpd's logger show only commands and the codes of answers, not what clients send."""
    logger = logging.getLogger("mail.log")
    if not any(isinstance(one, _Filter) for one in logger.filters):
        logger.addFilter(_Filter())
