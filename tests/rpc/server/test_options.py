"""Options that are not possible are refused by their names."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred.rpc import Resume, ServerOptions
from tests.settings import server_options


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"login_timeout": 0}, "login_timeout must be more than 0, not 0"),
        ({"grace": -1.0}, "grace must be 0 or more, not -1.0"),
        ({"replay": 0}, "replay must be more than 0, not 0"),
        ({"bytes_burst": -1}, "bytes_burst must be more than 0, not -1"),
    ],
)
def test_what_is_not_possible_is_named(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        server_options(**settings)


def test_a_session_may_end_with_its_connection() -> None:
    assert ServerOptions(resume=Resume(grace=0)).resume.grace == 0
