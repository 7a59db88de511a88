"""Cron expressions of other systems."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.crontab import five_fields


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("0 2 * * *", "0 2 * * *"),
        ("  0  2 * *  * ", "0 2 * * *"),
        ("0 0 2 * * *", "0 2 * * *"),
        ("00 0 2 * * *", "0 2 * * *"),
        ("30 0 2 * * *", "30 0 2 * * *"),
        ("@daily", "@daily"),
    ],
)
def test_seconds_of_zero_are_left_out(text: str, fields: str) -> None:
    assert five_fields(text) == fields
