"""Pushes that are progress of an open run."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.outcome_metrics import PushSettings
from afterrun_exporter.core.push_outcomes import DELETED
from tests.core.pushes import HOUR, Pusher

SUCCESS = "my_batch_job_last_success_unixtime TIME"
PROGRESS = PushSettings(progress=True)


def test_pushes_of_one_run_are_progress_until_the_success() -> None:
    notifier = Pusher(push=PROGRESS)

    assert notifier.push("rows 1") == "open"
    assert notifier.push("rows 2", "job_success 0") == "open"
    assert notifier.push("rows 3", SUCCESS) == "ok"
    assert dict(notifier.run.metrics)["rows"] == 3
    assert notifier.run.duration == 2 * HOUR
    assert not notifier.state.open_runs
    assert notifier.state.runs_total == 1
    # The next run, whose registry still has the old value.
    old = f"my_batch_job_last_success_unixtime {notifier.now!r}"
    assert notifier.push("rows 1", old) == "open"
    assert notifier.push("rows 2", SUCCESS) == "ok"


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("job_success 1", "ok"),
        ("job_exit_code 3", "fail"),
        ("job_failed 1", "fail"),
        ("job_exit_code 0", "open"),
        ("worker_up 1", "open"),
        ("job_success 0", "open"),
    ],
)
def test_an_explicit_end_ends_the_run(line: str, outcome: str) -> None:
    notifier = Pusher(push=PROGRESS)
    notifier.push("rows 1")

    assert notifier.push(line) == outcome


def test_a_run_that_died_is_overrunning_and_never_ok() -> None:
    notifier = Pusher(push=PROGRESS, max_runtime=2 * HOUR)
    notifier.push("rows 1")
    notifier.push("rows 2")

    assert notifier.push("rows 1", after=5 * HOUR) == "open"
    assert [run.outcome for run in notifier.last.runs] == ["timeout"]
    assert notifier.push(SUCCESS) == "ok"


def test_a_deletion_ends_a_run_that_has_not_succeeded() -> None:
    notifier = Pusher(push=PROGRESS)

    assert notifier.delete() == "nothing"
    assert notifier.push("rows 1") == "open"
    assert notifier.delete() == "fail"
    assert notifier.run.message == DELETED
    assert notifier.delete() == "nothing"
    notifier.push("rows 1")
    notifier.push(SUCCESS)
    assert notifier.delete() == "nothing"
    assert notifier.state.runs_total == 2


def test_a_deletion_means_nothing_where_a_push_is_a_run() -> None:
    notifier = Pusher()
    notifier.push(SUCCESS)

    assert notifier.delete() == "nothing"
    assert notifier.state.runs_total == 1
    assert notifier.push("rows 1") == "fail"


def test_the_last_push_that_is_sent_again_opens_no_run() -> None:
    notifier = Pusher(push=PROGRESS)
    notifier.push("rows 1")
    body = "a_last_success 1795266000"

    assert notifier.push(body) == "ok"
    assert notifier.push(body, after=5) == "repeat"
    assert not notifier.state.open_runs


def test_a_push_like_the_one_that_began_a_run_past_its_limit_begins_another() -> None:
    pusher = Pusher(push=PushSettings(progress=True), max_runtime=2.0)

    assert pusher.push("rows 1") == "open"
    assert pusher.push("rows 1", after=5.0) == "open"
    (run,) = pusher.state.open_runs
    assert run.started_at == pusher.now
