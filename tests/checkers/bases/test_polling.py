"""A source is looked at in intervals, once the checker has begun to."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import UsernamePassword
from actorcred.actors import ControlMessage
from actorcred.checkers.bases.polling import POLL, PollingChecker


class Looking(PollingChecker):
    """Counts its looks."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, looks: list[float], *, begins: bool) -> None:
        super().__init__()
        self.looks, self.begins = looks, begins

    def on_start(self) -> None:
        if self.begins:
            self.start_polling()

    def poll(self) -> None:
        self.looks.append(self.now())

    def request_avatar_id(self, credentials: Any) -> str:
        return str(credentials.username)


@pytest.mark.parametrize(("begins", "looks"), [(True, [POLL, 2 * POLL]), (False, [])])
def test_it_looks_in_intervals_once_it_has_begun(
    inline: Any, begins: bool, looks: list[float]
) -> None:
    seen: list[float] = []
    checker = Looking.start(seen, begins=begins)
    inline.advance(2.5 * POLL)
    checker.stop()
    inline.advance(10 * POLL)

    assert seen == looks


def test_other_messages_go_their_way(inline: Any) -> None:
    class Odd(ControlMessage): ...

    with pytest.raises(TypeError, match="does not handle a Odd"):
        Looking.start([], begins=False).ask(Odd())
