"""A client is notified of the end of its session, and harms no other one."""

from __future__ import annotations

import pytest

from actorcred import ClientGone, Notification
from actorcred.actors import Actor, Future, InlineDispatcher
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.mind import Mind

BYE = LogoutReason(LogoutCode.KICKED, "cheating")


def test_a_client_without_news_is_told_of_the_end_without_an_actor(dispatcher):
    told = Future()
    mind = Mind.start(lambda *args: told.set(args))
    mind.close(BYE)

    assert told.get(timeout=10) == ("logged_out", "kicked", "cheating")
    assert not mind.is_started
    assert not mind.send(Notification("late", ()))
    with pytest.raises(ClientGone):
        mind.call("late").get(timeout=10)


def test_a_client_can_be_told_of_the_end_by_a_coroutine(dispatcher):
    told = Future()

    async def client(name, *args):
        told.set(name)

    Mind.start(client).close(BYE)

    assert told.get(timeout=10) == "logged_out"


def test_what_a_client_starts_when_it_is_told_of_the_end_runs_where_the_mind_would(inline):
    started = []
    mind = Mind.start(lambda *_: started.append(Actor.start()), dispatcher=InlineDispatcher())
    mind.close(BYE)

    assert started[0].actor_inbox.dispatcher is mind.dispatcher
    assert mind.dispatcher is not inline


@pytest.mark.parametrize("error", [LookupError, SystemExit])
def test_a_client_that_fails_when_it_is_told_of_the_end_harms_no_other_one(inline, error):
    def fails(*_):
        raise error

    told = []
    Mind.start(fails).close(BYE)
    Mind.start(lambda name, *_: told.append(name)).close(BYE)

    assert told == ["logged_out"]


def test_ctrl_c_while_a_client_is_told_of_the_end_is_not_lost(inline):
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Mind.start(interrupted).close(BYE)
