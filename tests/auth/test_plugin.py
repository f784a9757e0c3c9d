"""What the plugins of checkers share: options and arguments that are read or refused by name."""

from __future__ import annotations

import pytest

from actorcred.auth.descriptors import ArgString, parse_descriptor
from actorcred.auth.plugin import (
    read_options,
    start_with_path,
    start_without_argument,
    yes_or_no,
)


def argument(text: str) -> ArgString:
    return parse_descriptor(text).argument


def test_options_are_converted_as_their_kinds_say() -> None:
    given = argument("x[threads=8,rehash=no]:path")

    assert read_options(given, {"threads": int, "rehash": yes_or_no}) == {
        "threads": 8,
        "rehash": False,
    }
    assert read_options(argument("x:path"), {"threads": int}) == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x[odd=1]:", "unknown option 'odd'; it takes the options threads, password"),
        ("x[threads=many]:", "the option threads cannot be 'many'"),
        ("x[password=s3cret]:", "the password is wrong"),
    ],
)
def test_an_option_that_cannot_be_is_named_and_a_password_is_not_shown(
    text: str, error: str
) -> None:
    with pytest.raises(ValueError, match=error) as raised:
        read_options(argument(text), {"threads": int, "password": int})
    assert "s3cret" not in str(raised.value)


def test_where_there_are_no_options_it_says_so() -> None:
    with pytest.raises(ValueError, match="unknown option 'odd'; it takes no options"):
        read_options(argument("x[odd=1]:"), {})


def test_yes_or_no_is_nothing_else() -> None:
    assert yes_or_no("yes")
    with pytest.raises(ValueError, match="perhaps"):
        yes_or_no("perhaps")


def test_a_checker_of_a_file_needs_its_path() -> None:
    generate = start_with_path(lambda *args, **options: (args, options), {"rounds": int})  # type: ignore[arg-type, return-value]

    assert generate(argument("x[rounds=4]:a file")) == (("a file",), {"rounds": 4})
    with pytest.raises(ValueError, match="needs the path of a file"):
        generate(argument("x"))


def test_a_checker_of_nothing_takes_nothing() -> None:
    generate = start_without_argument(lambda: "started")

    assert generate(argument("x")) == "started"
    with pytest.raises(ValueError, match="takes no argument"):
        generate(argument("x:y"))
    with pytest.raises(ValueError, match="unknown option"):
        generate(argument("x[y=1]:"))
