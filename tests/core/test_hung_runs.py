"""A run that hangs is one alert, until a run that followed it has ended."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.model import (
    Concurrency,
    Job,
    Kind,
    Outcome,
)
from afterrun_exporter.core.recovery import has_failed
from afterrun_exporter.core.state import AlertOpened, AlertResolved
from afterrun_exporter.core.status import Status, status
from afterrun_exporter.storage.codec import decode_state, encode_state
from tests.copies import replace

from .jobs import Night, at, told

LIMITED = Job(name="backup", max_runtime=3600.0)
SILENT = Job(name="backup", heartbeat=600.0)
PARALLEL = replace(LIMITED, concurrency=Concurrency(max=9))
RETRIED = replace(LIMITED, max_attempts=3)

#: What is done to a job, each at the next hour: + starts a run, named by the letter
#: after it, and - ends one: . ok, ! failed, ~ canceled, 0 skipped.
OUTCOMES = {
    ".": Outcome.OK,
    "!": Outcome.FAIL,
    "~": Outcome.CANCELED,
    "0": Outcome.SKIPPED,
}


def play(job: Job, *steps: str) -> tuple[Night, list[str]]:
    """Return a job after *steps*, two hours apart, and what was open after each."""
    night, found = Night(job), []
    for number, step in enumerate(steps):
        when = told(at("22 00:00") + 7200 * number)
        night.clock(when)
        take(night, when, step)
        found.append(" ".join(night.open))
    return night, found


def take(night: Night, when: str, step: str) -> None:
    """Do *step*: ``+a`` starts a run, ``-a.`` ends it, ``*`` is a sign of life of it."""
    name = step[1:2]
    more: dict[str, Any] = {"run_id": name} if name.isalpha() else {}
    attempt = [int(one) for one in step[2:] if one in "123"]
    if attempt:
        more |= {"attempt": attempt[0], "has_attempt": True}
    match step[0]:
        case "+":
            night.start(when, **more)
            if night.job.heartbeat:
                night.ping(when, Kind.PROGRESS, **more)
        case "-":
            night.ping(when, outcome=OUTCOMES[step[-1]], **more)
        case "r":
            text = encode_state(night.state)
            night.state = decode_state(text, night.state.run_keys)
        case "p":
            night.job = replace(night.job, enabled=False)
            night.clock(when)
        case "g":
            night.job = replace(night.job, enabled=True)
            night.clock(when)


def times(night: Night, condition: str) -> list[tuple[str, str]]:
    """Return when each alert of *condition* began and ended."""
    found: list[list[str]] = []
    for event in night.alerts:
        if event.key.condition != condition:
            continue
        if isinstance(event, AlertOpened):
            if not found or found[-1][1]:
                found.append([told(event.alert.opened_at), ""])
        elif isinstance(event, AlertResolved):
            found[-1][1] = told(event.at)
    return [(began, ended) for began, ended in found]


HANG, FAILS, BOTH = "overrunning", "failing", "failing overrunning"


@pytest.mark.parametrize(
    ("job", "steps", "expected"),
    [
        # The run that follows is ok, or it is not.
        (LIMITED, ["+a", "+b", "-b."], ["", HANG, ""]),
        (LIMITED, ["+a", "+b", "-b!"], ["", HANG, FAILS]),
        (LIMITED, ["+", "+", "-."], ["", HANG, ""]),
        (LIMITED, ["+", "+", "-!"], ["", HANG, FAILS]),
        (SILENT, ["+a", "+b", "-b."], ["", HANG, ""]),
        (SILENT, ["+", "+", "-!"], ["", HANG, FAILS]),
        (PARALLEL, ["+a", "+b", "-b."], ["", HANG, ""]),
        (PARALLEL, ["+", "+", "-."], ["", HANG, ""]),
        # A run that hangs, too, is the same alert.
        (LIMITED, ["+a", "+b", "+c", "-c."], ["", HANG, HANG, ""]),
        (LIMITED, ["+", "+", "+", "+", "-!"], ["", HANG, HANG, HANG, FAILS]),
        (SILENT, ["+a", "+b", "+c", "-c."], ["", HANG, HANG, ""]),
        # Only the end of the next one is reported.
        (LIMITED, ["+a", "-b."], ["", ""]),
        (LIMITED, ["+a", "-b!"], ["", FAILS]),
        (SILENT, ["+a", "-b."], ["", ""]),
        (PARALLEL, ["+a", "+b", "-c."], ["", HANG, ""]),
        # Which says nothing where nothing was done: it may have waited for this one.
        (LIMITED, ["+a", "-b0", "-c~", "+d", "-d."], ["", HANG, HANG, HANG, ""]),
        (LIMITED, ["+a", "+b", "-b~", "+c", "-c."], ["", HANG, HANG, HANG, ""]),
        (LIMITED, ["+a", "+b", "-b0", "-c!"], ["", HANG, HANG, FAILS]),
        # The run that hung ends after all.
        (LIMITED, ["+a", "-a."], ["", ""]),
        (LIMITED, ["+a", "-a!"], ["", FAILS]),
        (LIMITED, ["+a", "+b", "-a.", "-b."], ["", HANG, HANG, ""]),
        (LIMITED, ["+a", "+b", "-a!", "-b."], ["", HANG, HANG, ""]),
        (LIMITED, ["+a", "+b", "-b.", "-a!"], ["", HANG, "", ""]),
        (LIMITED, ["+a", "+b", "-b.", "-a."], ["", HANG, "", ""]),
        (LIMITED, ["+a", "+b", "-b!", "-a!"], ["", HANG, FAILS, FAILS]),
        (LIMITED, ["+a", "+b", "-b!", "-a."], ["", HANG, FAILS, ""]),
        # Whatever comes between.
        (LIMITED, ["+a", "+b", "r", "-b."], ["", HANG, HANG, ""]),
        (LIMITED, ["+a", "r", "+b", "r", "-b!"], ["", HANG, HANG, HANG, FAILS]),
        (LIMITED, ["+a", "p", "g", "+b", "-b."], ["", "", HANG, HANG, ""]),
        (LIMITED, ["+a", "+b", "p", "g", "-b."], ["", HANG, "", HANG, ""]),
        (LIMITED, ["+a", "+b", "p", "-b.", "g"], ["", HANG, "", "", ""]),
        # It was failing before.
        (LIMITED, ["-z!", "+a", "+b", "-b."], [FAILS, FAILS, BOTH, ""]),
        (LIMITED, ["-z!", "+a", "+b", "-b!"], [FAILS, FAILS, BOTH, FAILS]),
        # A later attempt of the same run follows it, too.
        (RETRIED, ["+a1", "+a2", "-a2."], ["", HANG, ""]),
        (RETRIED, ["+a1", "+a2", "-a2!", "-a3."], ["", HANG, HANG, ""]),
        (RETRIED, ["+a1", "+a2", "+a3", "-a3!"], ["", HANG, HANG, FAILS]),
    ],
)
def test_it_is_overrunning_until_a_run_that_followed_has_ended(
    job: Job, steps: list[str], expected: list[str]
) -> None:
    _, found = play(job, *steps)

    assert [*found] == expected


#: b and what follows are within their limits: the steps of a minute.
def quickly(night: Night, begin: str, *steps: str) -> list[str]:
    found = []
    for number, step in enumerate(steps):
        take(night, told(at(begin) + 60 * number), step)
        found.append(" ".join(night.open))
    return found


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["-z.", "+a", "+b"], Status.OVERRUNNING),
        (["+a", "+b"], Status.OVERRUNNING),
        (["-z.", "+a", "+b", "+c"], Status.OVERRUNNING),
        (["-z.", "+a", "+b", "-b~"], Status.OVERRUNNING),
        (["-z.", "+a", "+b", "-b."], Status.OK),
        (["-z.", "+a", "+b", "-b!"], Status.FAILING),
        (["-z.", "+a"], Status.RUNNING),
    ],
)
def test_a_job_whose_last_run_hung_is_never_said_to_be_ok(
    steps: list[str], expected: Status
) -> None:
    night, _ = play(LIMITED, *steps)

    assert status(night.job, night.state) is expected


def test_a_run_that_hung_counts_as_one_of_the_failures_in_a_row() -> None:
    night, _ = play(replace(LIMITED, after_failures=2), "-z.", "+a", "+b")
    assert not has_failed(night.job, night.state)

    night, _ = play(replace(LIMITED, after_failures=2), "-z!", "+a", "+b")
    assert has_failed(night.job, night.state)


def spooled(night: Night, arrives: str, *reports: tuple[str, str, str]) -> list[str]:
    """Deliver reports one second after another; return what was open after each."""
    found = []
    for number, (kind, run_id, when) in enumerate(reports):
        arrival = told(at(arrives) + number)
        night.clock(arrival)
        if kind == "start":
            night.start(arrival, run_id=run_id, started_at=at(when))
        else:
            night.ping(
                arrival, outcome=OUTCOMES[kind], run_id=run_id, ended_at=at(when)
            )
        found.append(" ".join(night.open))
    return found


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        # Pairs, whatever time has passed since.
        ([("start", "a", "22 02:00"), (".", "a", "22 02:30")], ["", ""]),
        ([("start", "a", "22 02:00"), ("!", "a", "22 02:30")], ["", FAILS]),
        # The first one never ended, and the second says how the job is.
        (
            [
                ("start", "a", "22 02:00"),
                ("start", "b", "22 04:00"),
                (".", "b", "22 04:30"),
            ],
            ["", "", ""],
        ),
        (
            [
                ("start", "a", "22 02:00"),
                ("start", "b", "22 04:00"),
                ("!", "b", "22 04:30"),
            ],
            ["", "", FAILS],
        ),
    ],
)
def test_a_start_from_a_spool_is_no_alert_while_its_end_may_follow(
    reports: list[tuple[str, str, str]], expected: list[str]
) -> None:
    night = Night(LIMITED)

    assert spooled(night, "22 09:00", *reports) == expected
    assert times(night, HANG) == []


def test_a_start_from_a_spool_without_an_end_is_overrunning_soon() -> None:
    night = Night(LIMITED)
    spooled(night, "22 09:00", ("start", "a", "22 02:00"))

    assert told(wake_at(night.job, night.state, night.settings)) == "22 09:00:30"
    assert night.clock("22 09:00:30").open == []
    assert night.clock("22 09:00:31").open == [HANG]
    assert night.start("22 09:01", run_id="b").open == [HANG]
    assert night.ping("22 09:02", run_id="b").open == []


def test_two_starts_from_a_spool_without_an_end_are_overrunning_soon() -> None:
    night = Night(LIMITED)
    spooled(night, "22 09:00", ("start", "a", "22 02:00"), ("start", "b", "22 04:00"))

    assert night.clock("22 09:00:30").open == []
    assert night.clock("22 09:00:31").open == [HANG]
    assert night.ping("22 09:02", run_id="b").open == []


def test_a_start_that_is_a_little_late_has_its_limit_as_any_other() -> None:
    night = Night(LIMITED)
    spooled(night, "22 02:00:05", ("start", "a", "22 02:00"))

    assert night.clock("22 03:00").open == []
    assert night.clock("22 03:00:01").open == [HANG]


def test_a_late_success_ends_its_own_hang_and_those_before_it() -> None:
    night, _ = play(LIMITED, "+a", "+b", "+c", "+d", "-b.")

    assert [run.run_id for run in night.state.hung] == ["c"]


def test_the_late_success_of_a_run_that_hangs_no_more_ends_no_other() -> None:
    night, open_then = play(LIMITED, "+a", "+b", "-b.", "+c", "+d", "-a.")

    assert [run.run_id for run in night.state.hung] == ["c"]
    assert open_then[-1] == HANG


def test_an_end_without_an_id_is_of_another_run_than_those_past_their_limit() -> None:
    night = Night(LIMITED)
    night.start("22 02:00", run_id="a").start("22 02:30", run_id="b")

    night.ping("22 05:00", started_at=at("22 04:30"))

    assert sorted(night.outcomes) == ["ok", "timeout", "timeout"]
