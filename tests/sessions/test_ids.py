"""Tests of the ids of sessions."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor

from actorcred.sessions.ids import make_session_id


def make(count: int) -> list[str]:
    return [make_session_id() for _ in range(count)]


def test_ids_are_128_random_bits() -> None:
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in make(300))


def test_no_id_comes_twice_whatever_thread_makes_it() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [one for ids in pool.map(make, [1_000] * 8) for one in ids]
    assert len(set(made)) == 8_000


def test_a_forked_process_makes_other_ids() -> None:
    make_session_id()  # so that a block was read
    with multiprocessing.get_context("fork").Pool(2) as pool:
        theirs = [one for ids in pool.map(make, [200, 200], chunksize=1) for one in ids]
    assert len({*theirs, *make(200)}) == 600
