"""Reports whose metrics add to what their run has reported before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Job, Kind
from afterrun_exporter.core.progress import NOTHING_TO_ADD_TO
from afterrun_exporter.core.transitions import on_ping, registered
from tests.core.jobs import SETTINGS, at, ping

JOB = Job(name="backup")
NOON = "21 12:00"
COUNTS = st.dictionaries(
    st.sampled_from(["done", "failed"]), st.integers(0, 2**40).map(float)
)


@given(st.lists(COUNTS), COUNTS)
def test_however_counts_are_split_they_come_to_the_same(
    updates: list[dict[str, float]], last: dict[str, float]
) -> None:
    state = registered(JOB, at(NOON))
    reports = [
        ping(NOON, Kind.START, run_id="a"),
        *(ping(NOON, Kind.PROGRESS, run_id="a", metrics=u, adds=True) for u in updates),
        ping(NOON, run_id="a", metrics=last, adds=True),
    ]
    for report in reports:
        made = on_ping(JOB, state, report, SETTINGS)
        state = made.state

    assert made.run is not None
    told = [*updates, last]
    names = {name for one in told for name in one}
    sums = {name: sum(one.get(name, 0.0) for one in told) for name in names}
    assert dict(made.run.metrics) == sums
    assert {name: state.metrics[name] for name in names} == sums


def test_what_comes_after_the_end_adds_to_nothing_and_is_noted() -> None:
    state = registered(JOB, at(NOON))
    for report in (
        ping(NOON, Kind.START, run_id="a"),
        ping(NOON, run_id="a", metrics={"done": 100.0}),
        ping(NOON, Kind.PROGRESS, run_id="a", metrics={"done": 5.0}, adds=True),
    ):
        made = on_ping(JOB, state, report, SETTINGS)
        state = made.state

    assert state.metrics == {"done": 100.0}
    assert [entry.message for entry in made.logs] == ["done +5, while no run was open"]
    assert made.warnings == (NOTHING_TO_ADD_TO,)


def test_what_adds_up_to_no_number_is_left_as_it_was() -> None:
    state = registered(JOB, at(NOON))
    for report in (
        ping(NOON, Kind.START, run_id="a"),
        ping(NOON, Kind.PROGRESS, run_id="a", metrics={"done": 1e308}, adds=True),
        ping(NOON, run_id="a", metrics={"done": 1e308}, adds=True),
    ):
        made = on_ping(JOB, state, report, SETTINGS)
        state = made.state

    assert made.run is not None
    assert made.run.metrics == {"done": 1e308}
