"""Commits of the configuration, as people read them."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.commits import short_commit


@pytest.mark.parametrize(
    ("commit", "short"),
    [
        ("", ""),
        ("0123456789abcdef", "0123456789ab"),
        ("0123456789abcdef-dirty", "0123456789ab-dirty"),
    ],
)
def test_a_short_commit_still_says_that_files_differ(commit: str, short: str) -> None:
    assert short_commit(commit) == short
