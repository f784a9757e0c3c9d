"""Arguments that must be named."""

from __future__ import annotations

import pytest

from actorcred.passwords.hashing import hash_password, needs_rehash, verify_password
from actorcred.passwords.named import by_name


def test_a_password_without_a_name_gets_an_error_that_shows_the_call() -> None:
    with pytest.raises(TypeError, match=r"by name.*: hash_password\(password=\.\.\.\)$") as error:
        hash_password("s3cret")  # type: ignore[misc]
    assert "s3cret" not in str(error.value)
    with pytest.raises(TypeError, match=r"verify_password\(password=\.\.\., hash=\.\.\.\)$"):
        verify_password("s3cret", "$2b$04$...")  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"needs_rehash\(hash=\.\.\.\)$"):
        needs_rehash("$2b$04$...")  # type: ignore[misc]


def test_named_arguments_reach_the_function() -> None:
    @by_name
    def join(*, first: str, second: str = "b") -> str:
        """Join."""
        return first + second

    assert join(first="a") == "ab"
    assert (join.__name__, join.__doc__) == ("join", "Join.")
    with pytest.raises(TypeError, match="third"):
        join(first="a", third="c")  # type: ignore[call-arg]
