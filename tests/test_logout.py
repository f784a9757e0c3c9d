"""Why a session ended, in words for the user and for a protocol."""

from __future__ import annotations

import pytest

from actorcred import LogoutCode, LogoutReason


def test_a_reason_is_its_code_and_perhaps_a_text_for_the_user() -> None:
    assert str(LogoutReason(LogoutCode.IDLE)) == "idle"
    assert str(LogoutReason(LogoutCode.KICKED, "spam")) == "kicked: spam"
    # It is sent to the client, so that nothing may be in it that cannot be sent.
    assert LogoutReason(LogoutCode.KICKED, "\ud83d\ude42 é\ud83d").detail == "🙂 é\ufffd"


@pytest.mark.parametrize("code", LogoutCode)
def test_only_a_client_that_went_by_itself_need_not_be_told(code: LogoutCode) -> None:
    assert LogoutReason(code).by_client == (code in {LogoutCode.LOGOUT, LogoutCode.LOST})
