"""The running actor is known inside of its handlers and coroutines, and nowhere else."""

from __future__ import annotations

from actorcred.actors import Actor, Dispatcher
from actorcred.actors._context import current_mailbox


class Knowing(Actor):
    """Says who runs."""

    def at_once(self) -> bool:
        return current_mailbox.get() is self.actor_inbox

    async def later(self, other: Knowing) -> tuple[bool, bool]:
        return await other.at_once(), current_mailbox.get() is self.actor_inbox  # type: ignore[misc]

    async def elsewhere(self) -> bool:
        return await self.offload(lambda: current_mailbox.get() is None)


def test_the_running_actor_is_known_before_and_after_an_await(dispatcher: Dispatcher) -> None:
    one, other = Knowing.start().proxy(), Knowing.start().proxy()

    assert one.at_once().get(timeout=10)
    assert one.later(other).get(timeout=10) == (True, True)
    assert current_mailbox.get() is None


def test_work_on_the_background_pool_is_no_actors() -> None:
    assert Knowing.start().proxy().elsewhere().get(timeout=10)
