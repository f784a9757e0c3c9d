"""The session's cookie is found among those of others, and is as safe as its connection."""

from __future__ import annotations

import pytest

from actorcred.adapters._cookies import TRIED, SessionCookie

COOKIE = SessionCookie("session")


@pytest.mark.parametrize(
    ("name", "with_tls", "without"),
    [
        ("session", "__Host-session", "session"),
        ("__Secure-session", "__Secure-session", "session"),
        ("__host-session", "__host-session", "session"),
    ],
)
def test_its_name_has_a_prefix_where_it_may_have_one(
    name: str, with_tls: str, without: str
) -> None:
    cookie = SessionCookie(name)

    assert (cookie.name(True), cookie.name(False)) == (with_tls, without)


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "__Host-"])
def test_a_name_that_no_cookie_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no cookie can have the name"):
        SessionCookie(name)


@pytest.mark.parametrize(
    ("headers", "values"),
    [
        (["session=abc"], ["abc"]),
        (['odd; =; a==b;;session="abc"\t; session=def'], ["abc", "def"]),
        (["other=x", "session=abc"], ["abc"]),
        (["__Host-session=abc", "session=a b", "session=", "session=\u00e9"], []),
        ([f"session={'x' * 257}"], []),
        ([], []),
    ],
)
def test_its_values_are_found_whatever_others_send(headers: list[str], values: list[str]) -> None:
    assert COOKIE.values(headers, False) == values


def test_only_so_many_values_are_looked_at() -> None:
    assert len(COOKIE.values(["session=x;" * (TRIED + 10)], False)) == TRIED


def test_it_is_set_for_this_host_and_not_for_scripts_and_deleted_when_it_is_empty() -> None:
    assert COOKIE.header("abc", True) == (
        b"__Host-session=abc; Path=/; HttpOnly; SameSite=Lax; Secure"
    )
    assert COOKIE.header("", False) == b"session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
