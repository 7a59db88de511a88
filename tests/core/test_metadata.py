"""Metadata of a run, whichever of its reports brought it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.metadata import MAX_OPEN, bounded, merged
from afterrun_exporter.core.model import Kind, Outcome
from afterrun_exporter.storage.codec import decode_state, encode_state
from tests.copies import replace
from tests.core.jobs import BACKUP, Night

LIMITED = replace(BACKUP, max_runtime=3600)

values = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
objects = st.dictionaries(st.text(max_size=5), values, max_size=5)


def said(**fields: Any) -> str:
    return json.dumps(fields)


def of_run(night: Night) -> dict[str, Any]:
    """Return the metadata of the last run."""
    found: dict[str, Any] = json.loads(night.runs[-1].metadata or "{}")
    return found


class TestTheMetadataOfARun:
    def test_is_what_its_start_and_its_end_report(self) -> None:
        night = Night().start("22 02:00", metadata=said(host="db1", git_sha="abc"))
        night.ping("22 02:10", metadata=said(git_sha="def", rows=7))

        assert of_run(night) == {"host": "db1", "git_sha": "def", "rows": 7}

    @pytest.mark.parametrize("outcome", list(Outcome))
    def test_is_that_of_its_start_where_the_end_has_none(
        self, outcome: Outcome
    ) -> None:
        night = Night().start("22 02:00", metadata=said(host="db1"))
        night.ping("22 02:10", outcome=outcome)

        assert of_run(night) == {"host": "db1"}

    def test_is_what_progress_reports_too(self) -> None:
        night = Night().start("22 02:00", metadata=said(host="db1", step=0))
        night.ping("22 02:05", Kind.PROGRESS, metadata=said(step=1))
        night.ping("22 02:10", metadata=said(done=True))

        assert of_run(night) == {"host": "db1", "step": 1, "done": True}

    def test_is_what_a_start_that_keeps_it_alive_reports(self) -> None:
        night = Night().start("22 02:00", run_id="a", metadata=said(host="db1"))
        night.start("22 02:05", run_id="a", keeps_alive=True, metadata=said(step=1))
        night.ping("22 02:10", run_id="a")

        assert of_run(night) == {"host": "db1", "step": 1}

    def test_is_kept_where_nobody_reports_its_end(self) -> None:
        night = Night(LIMITED).start("22 02:00", metadata=said(host="db1"))
        night.start("23 02:00")

        assert night.outcomes == ["timeout"]
        assert of_run(night) == {"host": "db1"}

    def test_is_in_the_log_where_it_is_given_up(self) -> None:
        night = Night().start("22 02:00", metadata=said(host="db1")).start("23 02:00")

        assert night.logs[0].metadata == said(host="db1")

    def test_is_not_that_of_another_run(self) -> None:
        night = Night().start("22 02:00", run_id="a", metadata=said(host="db1"))
        night.start("22 02:01", run_id="b", metadata=said(host="db2"))
        night.ping("22 02:10", run_id="a").ping("22 02:11", run_id="c")

        assert [json.loads(run.metadata or "{}") for run in night.runs] == [
            {"host": "db1"},
            {},
        ]

    def test_survives_a_restart(self) -> None:
        night = Night().start("22 02:00", run_id="a", metadata=said(host="db1"))
        night.state = decode_state(encode_state(night.state), night.state.run_keys)
        night.ping("22 02:10", run_id="a")

        assert of_run(night) == {"host": "db1"}


def test_a_long_one_is_kept_as_far_as_there_is_room_and_a_warning_says_so() -> None:
    log = "x" * MAX_OPEN
    night = Night().start("22 02:00", metadata=said(host="db1", log=log, step=1))

    (warning,) = night.last.warnings
    assert warning == (
        "metadata: 'log' left out: no more than 4096 characters are kept of an open "
        "run; send the rest with its end"
    )
    night.ping("22 02:10", metadata=said(log=log))
    assert of_run(night) == {"host": "db1", "step": 1, "log": log}


def test_progress_does_not_make_it_grow_without_limit() -> None:
    night = Night().start("22 02:00")
    for minute in range(50):
        text = said(**{f"step{minute}": "x" * 400})
        night.ping(f"22 02:{minute:02}", Kind.PROGRESS, metadata=text)

    assert len(night.state.open_runs[0].metadata) <= MAX_OPEN
    assert "left out" in night.last.warnings[0]


@given(objects, objects)
def test_the_later_one_wins_by_key(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    whole = json.loads(merged(json.dumps(earlier), json.dumps(later)))

    assert whole == {**earlier, **later}


@given(objects, st.integers(0, 2 * MAX_OPEN))
def test_what_is_kept_is_bounded(fields: dict[str, Any], size: int) -> None:
    text = json.dumps({**fields, "long": "x" * size})
    kept, warnings = bounded(text)

    assert len(kept) <= MAX_OPEN
    assert (kept == text) is (not warnings)
    assert json.loads(kept or "{}").items() <= json.loads(text).items()
