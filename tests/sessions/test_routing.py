"""Tokens that name their node, and a portal that is alone."""

from __future__ import annotations

import pytest

from actorcred.sessions.routing import ALONE, NoRoute, new_token, node_of


def test_a_token_names_its_node_and_is_a_secret() -> None:
    first, second = new_token("eu-1-0123456789ab"), new_token("eu-1-0123456789ab")
    assert node_of(first) == node_of(second) == "eu-1-0123456789ab"
    assert first != second
    assert len(first.rpartition(".")[2]) == 43


def test_without_a_cluster_a_token_names_no_node() -> None:
    assert "." not in new_token("")
    assert node_of(new_token("")) == ""


@pytest.mark.parametrize(
    ("token", "node"), [("", ""), (".", ""), ("a.", "a"), ("a.b.c", "a.b"), (".x", "")]
)
def test_whatever_a_client_sends_is_split(token: str, node: str) -> None:
    assert node_of(token) == node


def test_who_is_alone_has_no_other_nodes() -> None:
    end: object = None
    assert ALONE.node == ""
    assert ALONE.open("other", "rpc", b"", end).get(timeout=5) is NoRoute.GONE  # type: ignore[arg-type]
    assert ALONE.serve("rpc", lambda *_: 1 / 0)() is None  # type: ignore[arg-type, func-returns-value, return-value]
