"""The word of a trusted front is believed."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import UnhandledCredentials
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from actorcred.credentials import ExternalIdentity
from tests.helpers import Player, Stage


def test_who_the_front_says_it_is_comes_in_and_nobody_else(inline: Any) -> None:
    stage = Stage(checkers=0)
    stage.portal.register_checker(from_string("external")).get(timeout=10)
    login = stage.portal.login(ExternalIdentity("ann", "proxy"), None, Player).get(timeout=10)

    assert login.session.avatar_id == "ann"
    with pytest.raises(UnhandledCredentials):
        stage.login("ann", "right")


def test_it_takes_no_argument() -> None:
    with pytest.raises(DescriptorError, match="takes no argument"):
        from_string("external:ann")
