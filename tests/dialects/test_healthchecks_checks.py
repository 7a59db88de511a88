"""What Healthchecks' clients say of a check, whatever it is, and how it fared."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config import parse
from afterrun_exporter.dialects.healthchecks.checks import (
    description_of,
    flips,
    validated,
)
from afterrun_exporter.errors import RequestError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["0 2 * * *", "Europe/Riga", "name", 60, 86400]),
    lambda inner: st.lists(inner, max_size=3),
)
FIELDS = st.sampled_from(
    ["name", "slug", "tags", "desc", "timeout", "grace", "schedule", "tz", "unique"]
)


@given(st.dictionaries(FIELDS, JSON))
def test_whatever_a_check_is_told_it_is_taken_or_refused(told: dict[str, Any]) -> None:
    unknown = parse("{}").job_config.unknown
    assert unknown is not None
    with suppress(RequestError, ValueError):
        words = description_of(validated(told))
        # What is taken can be kept, and is understood after a restart.
        assert unknown("x", json.dumps(words)) == unknown("x", json.dumps(words))


@given(st.lists(st.tuples(st.integers(0, 50), st.none() | st.integers(0, 50))))
def test_flips_alternate_and_a_check_is_down_while_any_alert_is_open(
    spans: list[tuple[int, int | None]],
) -> None:
    alerts = [(float(a), None if b is None else float(a + b)) for a, b in spans]
    told = [(one["timestamp"], one["up"]) for one in flips(alerts)][::-1]

    assert [up for _, up in told] == [n % 2 for n in range(len(told))]
    assert told == sorted(told, key=lambda one: one[0])
    still_open = any(resolved is None for _, resolved in alerts)
    assert (len(told) % 2 == 1) is still_open
