"""Who does not say who they are comes in as nobody in particular."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import ANONYMOUS, Anonymous, UnhandledCredentials
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from tests.helpers import Player, Stage


def test_each_anonymous_client_has_a_session_of_its_own(inline: Any) -> None:
    stage = Stage(checkers=0)
    stage.portal.register_checker(from_string("anonymous")).get(timeout=10)
    logins = [stage.portal.login(Anonymous("x"), None, Player).get(timeout=10) for _ in range(2)]

    assert [login.session.avatar_id for login in logins] == [ANONYMOUS] * 2
    assert stage.count() == 2
    with pytest.raises(UnhandledCredentials):
        stage.login("ann", "right")


def test_it_takes_no_argument() -> None:
    with pytest.raises(DescriptorError, match="takes no argument"):
        from_string("anonymous:ann")
