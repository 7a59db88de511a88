"""The cached chunks: nobody is to see that they are there."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.state import JobState
from afterrun_exporter.exposition.chunks import Chunk, Chunks
from afterrun_exporter.exposition.exposed_job import ExposedJob
from afterrun_exporter.exposition.snapshot import Snapshot
from tests.copies import replace
from tests.core.jobs import BACKUP, SETTINGS
from tests.exposition.rendered import render

names = st.sampled_from([f"job{number}" for number in range(12)])
#: Values of different lengths, and families that have no line or several.
states = st.builds(
    JobState,
    created_at=st.just(1.0),
    due_after=st.just(1.0),
    last_ping_at=st.sampled_from([0.0, 5.0, 1.5e9, 1.5e9 + 0.25]),
    last_duration=st.sampled_from([None, 1.0, 60.125]),
    metrics=st.dictionaries(st.sampled_from(["rows", "größe"]), st.just(7.0)),
)
#: What changes between two scrapes. None is a job that leaves; one that is only
#: expected has room, and no lines yet: what was to make them was broken off.
EXPECTED = "expected"
Changes = Mapping[str, JobState | str | None]
rounds = st.lists(
    st.dictionaries(names, st.one_of(states, st.none(), st.just(EXPECTED)), max_size=8),
    max_size=8,
)


def text(chunks: Chunks) -> bytes:
    snapshot = Snapshot(chunks.pieces())
    return b"".join(snapshot.pieces(None, is_openmetrics=False))


def change(chunks: Chunks, changes: Changes) -> None:
    dirty: dict[Chunk, list[ExposedJob]] = {}
    for name, state in changes.items():
        if state is None:
            chunks.drop(name)
        elif not isinstance(state, JobState):
            chunks.home(name)
        else:
            subject = ExposedJob(replace(BACKUP, name=name), state, SETTINGS)
            dirty.setdefault(chunks.home(name), []).append(subject)
    for chunk, subjects in dirty.items():
        chunk.update(subjects)


@given(rounds)
def test_whatever_changes_the_bytes_are_those_of_a_fresh_render(
    history: list[Changes],
) -> None:
    """Also their order: jobs stand in the order in which they came."""
    chunks = Chunks(size=3)
    expected: dict[str, JobState | str] = {}
    for changes in history:
        change(chunks, changes)
        for name, state in changes.items():
            if state is None:
                expected.pop(name, None)
            elif not isinstance(state, JobState):
                expected.setdefault(name, state)
            else:
                expected[name] = state

        jobs = [
            (replace(BACKUP, name=name), state)
            for name, state in expected.items()
            if isinstance(state, JobState)
        ]
        assert text(chunks) == render(jobs, SETTINGS)
