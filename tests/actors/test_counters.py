"""Each actor has a number, and a name that no other actor in the world has."""

from __future__ import annotations

import multiprocessing
import uuid

from actorcred.actors._counters import (
    count_dead_letter,
    count_dropped,
    dead_letters,
    dropped,
    next_actor,
    urn,
)
from tests.actors.helpers import Recorder


def test_numbers_rise_and_names_are_uuids() -> None:
    numbers = [next_actor() for _ in range(100)]
    names = {urn(number) for number in numbers}

    assert numbers == sorted(set(numbers))
    assert len(names) == 100
    assert all(uuid.UUID(name).urn == name for name in names)


def test_a_forked_process_gives_other_names() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        theirs = pool.map(urn, [1, 1], chunksize=1)

    assert urn(1) not in theirs


def test_an_actor_keeps_its_name() -> None:
    ref = Recorder.start()

    assert ref.actor_urn == ref.actor_urn == urn(ref.actor_inbox.number)
    assert ref.actor_urn in str(ref)


def test_what_is_lost_is_counted_by_its_kind() -> None:
    letters, messages = dead_letters(), dropped()
    count_dead_letter()
    for _ in range(2):
        count_dropped()

    assert (dead_letters(), dropped()) == (letters + 1, messages + 2)
