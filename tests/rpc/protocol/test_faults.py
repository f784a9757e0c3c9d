"""The forms of errors, without a connection."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import CallError
from actorcred.rpc.protocol.codec import MSGPACK
from actorcred.rpc.protocol.connection import Connection, Excess
from actorcred.rpc.protocol.faults import FaultForm, fault_of, read_fault


def facts(error: CallError) -> tuple[str, str, float | None]:
    return error.code, error.message, error.retry_after


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        (FaultForm.MAP, {"code": "locked", "message": "not now", "retry_after": 3}),
        (FaultForm.LIST, ["locked", "not now"]),
        (FaultForm.TEXT, "locked: not now"),
    ],
)
def test_an_error_has_the_form_that_was_asked_for(form: FaultForm, fault: Any) -> None:
    assert fault_of(CallError("not now", "locked", retry_after=3), form) == fault


def test_a_map_says_when_to_try_again_only_where_that_is_known() -> None:
    assert fault_of(CallError("never", "locked")) == {"code": "locked", "message": "never"}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"code": "locked", "message": "not now", "retry_after": 3}, ("locked", "not now", 3)),
        ({}, ("failed", "", None)),
        (["locked", "not now"], ("locked", "not now", None)),
        ("locked: not now", ("failed", "locked: not now", None)),
        ([1, 2, 3], ("failed", "[1, 2, 3]", None)),
        (7, ("failed", "7", None)),
    ],
)
def test_whatever_peers_make_of_errors_is_read(
    fault: Any, expected: tuple[str, str, float | None]
) -> None:
    assert facts(read_fault(fault)) == expected


@pytest.mark.parametrize(
    ("form", "kind"), [(FaultForm.MAP, dict), (FaultForm.LIST, list), (FaultForm.TEXT, str)]
)
def test_a_connection_writes_all_errors_in_one_form(form: FaultForm, kind: type) -> None:
    connection = Connection()
    connection.errors = form
    for data in (connection.fail(1, CallError("no")), connection.refuse(Excess(2))):
        assert type(MSGPACK.decode(data).error) is kind  # type: ignore[union-attr]
