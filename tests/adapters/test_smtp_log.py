"""The log of aiosmtpd shows of a client's line the command alone: the rest may be a password."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from actorcred.adapters._smtp_log import HIDDEN, hide_what_clients_send

LOGGER = logging.getLogger("mail.log")


@pytest.fixture(autouse=True)
def own_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOGGER, "filters", [])


@pytest.mark.parametrize(
    ("format", "quoted", "shown"),
    [
        ("%r >> %r", b"AUTH PLAIN czNjcmV0", "'peer' >> 'AUTH'"),
        ("%r << %r", b"535 s3cret", "'peer' << '535'"),
        ("%r >> %r", "s3cret", f"'peer' >> '{HIDDEN}'"),
        ("%r << readline %r", b"\xffs3cret", f"'peer' << readline '{HIDDEN}'"),
        ("%r handles %r", "s3cret of the server", "'peer' handles 's3cret of the server'"),
    ],
)
def test_what_a_client_sent_is_hidden_but_for_its_command(
    format: str,  # noqa: A002
    quoted: Any,
    shown: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hide_what_clients_send()
    LOGGER.warning(format, "peer", quoted)

    assert [record.getMessage() for record in caplog.records] == [shown]


def test_a_record_without_arguments_stays_and_the_filter_is_there_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        hide_what_clients_send()
    LOGGER.warning("the server has started")
    LOGGER.warning("an answer over limit")

    assert len(LOGGER.filters) == 1
    assert caplog.messages == ["the server has started", "an answer over limit"]
