"""Facts written and read back are the same facts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from afterrun_exporter.core.rules import Violation
from afterrun_exporter.core.state import DERIVED, JobState
from afterrun_exporter.storage.codec import (
    decode_metrics,
    decode_state,
    decode_violations,
    encode_metrics,
    encode_state,
    encode_violations,
)
from tests.storage.decisions import fresh
from tests.strategies import METRICS, STATE_FIELDS, states, violations


def test_generated_states_have_every_field() -> None:
    """A field that is added to a state is one more that may get lost."""
    stored = {field.name for field in fields(JobState)} - {*DERIVED}

    assert STATE_FIELDS.keys() == stored


@given(state=states())
def test_a_state_comes_back_as_it_was(state: JobState) -> None:
    """Nothing that is remembered of a job is lost or changed on disk."""
    assert decode_state(encode_state(state), state.run_keys) == state


@given(state=states())
def test_a_stored_state_has_no_control_characters(state: JobState) -> None:
    """PostgreSQL has no NUL, and replicas read states without its substitute."""
    assert min(encode_state(state)) >= " "


@given(state=states())
def test_a_state_comes_back_with_the_types_it_had(state: JobState) -> None:
    """A 1 that becomes a 1.0, or a text an outcome, shows in the metrics."""
    back = decode_state(encode_state(state), state.run_keys)

    assert repr(_plain(back)) == repr(_plain(state))


@given(metrics=METRICS)
def test_reported_values_come_back_as_they_were(metrics: Mapping[str, float]) -> None:
    """To the last bit: rules compare with them."""
    assert decode_metrics(encode_metrics(metrics)) == metrics


@given(broken=st.lists(violations(), max_size=3).map(tuple))
def test_violations_come_back_as_they_were(broken: tuple[Violation, ...]) -> None:
    """What a repeat is told is what the first report was told."""
    assert decode_violations(encode_violations(broken)) == broken


def test_violations_of_an_earlier_version_are_read() -> None:
    """Rules on text came later: nothing is known of a text."""
    stored = '[["rows > 0","rows",0.0,"> 0"],["size > 1","size",null,"> 1"]]'

    assert decode_violations(stored) == (
        Violation("rows > 0", "rows", 0.0, "> 0"),
        Violation("size > 1", "size", None, "> 1"),
    )


def test_a_new_job_takes_no_more_room_than_it_needs() -> None:
    """With a hundred thousand jobs, what is default is better left out."""
    assert encode_state(fresh()) == (
        '{"created_at":1800000000.0,"due_after":1800000000.0}'
    )


def test_text_is_written_as_people_write_it() -> None:
    """Who looks into the database can read it."""
    state = fresh(violated=("řádků > 0",))

    assert json.loads(encode_state(state))["violated"] == ["řádků > 0"]
    assert "řádků" in encode_state(state)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_written(value: float) -> None:
    """Such JSON could be read by nobody else: better an error than that."""
    with pytest.raises(ValueError, match="not finite cannot be stored"):
        encode_metrics({"rows": value})
    with pytest.raises(ValueError, match="not finite cannot be stored"):
        encode_state(fresh(metrics={"rows": value}))


def _plain(state: JobState) -> dict[str, object]:
    # Which kind of mapping holds the metrics makes no difference to anyone, and
    # what equals its default is read as its default.
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    values["open_runs"] = [
        (run.run_id, run.attempt, run.started_at, dict(run.metrics))
        for run in state.open_runs
    ]
    for name in ("metrics", "previous"):
        values[name] = dict(values[name])
    return {name: value or bool(value) for name, value in values.items()}
