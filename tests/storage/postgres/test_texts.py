"""Texts in PostgreSQL: all of them come back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.storage.postgres import texts

SPECIAL = st.text(st.sampled_from("\0\x100\x11aÄ😀"))


@given(st.text() | SPECIAL)
def test_each_text_comes_back(text: str) -> None:
    stored = texts.encode(text)

    assert b"\0" not in stored
    assert texts.decode(stored) == text


@given(SPECIAL, SPECIAL)
def test_the_concatenation_of_stored_texts_is_stored_like_one(a: str, b: str) -> None:
    assert texts.encode(a) + texts.encode(b) == texts.encode(a + b)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        texts.encode("\ud83d")
