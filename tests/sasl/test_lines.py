"""SASL messages in protocols made of lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred.errors import ProtocolError
from actorcred.sasl.lines import decode_answer, decode_initial, encode_challenge


@given(st.binary())
def test_bytes_survive_a_line(data: bytes) -> None:
    line = encode_challenge(data)
    assert decode_answer(line + b"\r\n") == decode_initial(line.decode()) == data


def test_an_equals_sign_is_the_empty_initial_response() -> None:
    assert decode_initial("=") == decode_initial(b"=") == b""
    assert decode_answer(b"\r\n") == decode_answer(b"=\r\n") == b""


def test_an_asterisk_aborts() -> None:
    for line in (b"*", b"*\r\n"):
        with pytest.raises(ProtocolError, match="aborted"):
            decode_answer(line)


@given(st.binary() | st.text())
def test_anything_else_is_a_protocol_error(word: str | bytes) -> None:
    try:
        decode_initial(word)
        if isinstance(word, bytes):
            decode_answer(word)
    except ProtocolError:
        pass
