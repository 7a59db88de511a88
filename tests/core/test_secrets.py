from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.secrets import DIGEST, digest, is_one_of


@given(st.text())
def test_what_is_kept_has_the_form_that_is_looked_for(secret: str) -> None:
    assert DIGEST.fullmatch(digest(secret))
    assert digest(secret) == digest(secret)


@pytest.mark.parametrize(
    ("secret", "found"),
    [
        ("first", True),
        ("second", True),
        ("third", False),
        ("", False),
        ("FIRST", False),
    ],
)
def test_a_secret_is_found_among_those_that_are_kept(secret: str, found: bool) -> None:
    kept = [digest("first"), digest("second")]

    assert is_one_of(secret, kept) is found


def test_nothing_is_one_of_none() -> None:
    assert not is_one_of("anything", [])
