"""SIGHUP and ``/-/reload``: the new file whole, or the old one."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from contextlib import closing
from signal import SIGHUP

import pytest

from tests.e2e.daemon.acts import (
    BAD_CONFIG,
    RUNS_TOTAL,
    ReloadBy,
    count,
    problems,
    recorded,
    writing_is_held_up,
)
from tests.e2e.daemon.daemon import (
    Daemon,
    wait_until,
)
from tests.e2e.daemon.load import JOBS, Load, configuration


def by_signal(daemon: Daemon) -> None:
    """Reload the way a service manager does."""
    before = daemon.log.count("msg=config_")
    daemon.send_signal(SIGHUP)
    wait_until(lambda: daemon.log.count("msg=config_") > before, "it has reloaded")


def by_request(daemon: Daemon) -> None:
    """Reload the way Prometheus is reloaded."""
    daemon.post("/-/reload")


@pytest.mark.parametrize("reload", [by_signal, by_request])
def test_a_reload_takes_the_new_file(daemon: Daemon, reload: ReloadBy) -> None:
    """Jobs appear, and rules apply from the next run on."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    before = daemon.series()
    daemon.configure("jobs: {backup: {rules: [rows > 0]}, sync: {}}")

    reload(daemon)

    after = daemon.series()
    assert ("afterrun_job_runs_total", "sync") not in before
    assert after["afterrun_job_runs_total", "sync"] == 0
    assert after["afterrun_config_last_reload_successful", ""] == 1
    reloaded = "afterrun_config_last_reload_success_timestamp_seconds", ""
    assert after[reloaded] > before[reloaded]
    answer = daemon.post("/ping/backup", {"metrics": {"rows": 0}})
    assert answer.json()["outcome"] == "violated"


@pytest.mark.parametrize("reload", [by_signal, by_request])
def test_a_reload_keeps_the_old_file_when_the_new_one_is_bad(
    daemon: Daemon, reload: ReloadBy
) -> None:
    """It says so in the log and in the metrics, and goes on as before."""
    daemon.configure("jobs: {backup: {rules: [rows > 0]}}")
    daemon.start()
    daemon.configure(BAD_CONFIG)

    reload(daemon)

    series = daemon.series()
    assert series["afterrun_config_last_reload_successful", ""] == 0
    assert ("afterrun_job_runs_total", "sync") not in series
    answer = daemon.post("/ping/backup", {"metrics": {"rows": 0}})
    assert answer.json()["outcome"] == "violated"
    (line,) = [line for line in daemon.log.splitlines() if "config_refused" in line]
    assert "jobs.backup.grcae: unknown key" in line

    daemon.configure("jobs: {sync: {}}")
    reload(daemon)
    assert daemon.series()["afterrun_config_last_reload_successful", ""] == 1


def test_a_refused_reload_answers_with_every_problem(daemon: Daemon) -> None:
    """Who reloads by hand sees at once what is wrong."""
    daemon.start()
    assert daemon.post("/-/reload").status == 200
    daemon.stop()
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    daemon.configure(BAD_CONFIG)

    answer = daemon.post("/-/reload")

    assert answer.status == 500
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    for start in problems(daemon):
        assert start in answer.json()["detail"]


def test_a_reload_survives_a_file_that_is_gone(daemon: Daemon) -> None:
    """Such as between the two steps of an editor that replaces it."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    daemon.config.unlink()

    answer = daemon.post("/-/reload")
    by_signal(daemon)

    assert answer.status == 500
    assert str(daemon.config) in answer.json()["detail"]
    assert "Traceback" not in daemon.log
    assert daemon.get("/ping/backup").status == 200


def test_a_job_that_leaves_the_file_is_retired(daemon: Daemon) -> None:
    """Its series go and its alerts resolve; its history stays."""
    daemon.configure("jobs: {backup: {rules: [rows > 0]}, sync: {}}")
    daemon.start()
    daemon.post("/ping/backup", {"metrics": {"rows": 0}})
    open_alerts = "SELECT condition FROM alerts WHERE resolved_at IS NULL"
    assert daemon.rows(open_alerts) == [("violated",)]
    daemon.configure("jobs: {sync: {}}")

    assert daemon.post("/-/reload").status == 200

    assert daemon.rows(open_alerts) == []
    assert 'job_name="backup"' not in daemon.get("/metrics").text
    assert daemon.series()["afterrun_job_runs_total", "sync"] == 0
    assert count(daemon) == 1


def test_a_job_that_left_while_the_daemon_was_down_is_retired(daemon: Daemon) -> None:
    """It makes no difference whether somebody was there to see it go."""
    daemon.configure("jobs: {backup: {rules: [rows > 0]}, sync: {}}")
    daemon.start()
    daemon.post("/ping/backup", {"metrics": {"rows": 0}})
    daemon.stop()
    daemon.configure("jobs: {sync: {}}")

    daemon.start()

    assert daemon.rows("SELECT 1 FROM alerts WHERE resolved_at IS NULL") == []
    assert 'job_name="backup"' not in daemon.get("/metrics").text


async def test_a_reload_under_load_loses_no_ping(
    daemon: Daemon, rng: random.Random
) -> None:
    """Whichever file is in force, each ping is answered, and is there."""
    daemon.configure(configuration())
    daemon.start()
    load = Load(daemon.url, rng, "load", 16)
    running = asyncio.create_task(load.run())
    for number in range(20):
        more = f"  extra-{number}: {{every: 1h}}\n"
        daemon.configure(configuration() + more)
        answer = await asyncio.to_thread(daemon.post, "/-/reload")
        assert answer.status == 200
        daemon.send_signal(SIGHUP)
    load.stop()
    await running

    assert not load.ledger.strange
    assert not load.ledger.unanswered
    assert recorded(daemon) == load.ledger.answered.keys()
    exposed = daemon.series()
    assert sum(
        value for (name, _), value in exposed.items() if name == RUNS_TOTAL
    ) == len(load.ledger.answered)
    assert {job for name, job in exposed if name == RUNS_TOTAL} >= set(JOBS)


def test_a_job_that_appears_during_a_reload_is_watched(daemon: Daemon) -> None:
    """Its first ping was answered, so its series are there."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    new = (f"new-here-{number}" for number in itertools.count())
    made: list[tuple[str, int, int]] = []

    def is_reloaded_in_time() -> bool:
        name = next(new)
        with closing(daemon.connect()) as job, closing(daemon.connect()) as operator:
            with writing_is_held_up(daemon) as held_up:
                job.request("POST", f"/ping/{name}")
                daemon.get("/-/healthy")
                operator.request("POST", "/-/reload")
                daemon.get("/-/healthy")
            statuses = job.getresponse().status, operator.getresponse().status
        made.append((name, *statuses))
        return not held_up.is_too_long

    wait_until(is_reloaded_in_time, "it reloads before a lock is too old")

    name, reported, reloaded = made[-1]
    assert (reported, reloaded) == (200, 200)
    assert daemon.series()[RUNS_TOTAL, name] == 1


@pytest.mark.parametrize("text", ["", "# TODO\n", "\n\n"])
def test_an_empty_file_retires_no_job(daemon: Daemon, text: str) -> None:
    """Such as what a redirection leaves that failed."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    daemon.configure(text)

    answer = daemon.post("/-/reload")

    assert answer.status == 500
    assert answer.json()["detail"] == (
        f"{daemon.config}:1: is empty; write 'jobs: {{}}' for a configuration without jobs"
    )
    assert daemon.series()[RUNS_TOTAL, "backup"] == 0


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("jobs: {}", "the file would retire all 2 jobs"),
        ("jobs: {elsewhere: {}}", "the file would retire all 2 jobs"),
    ],
)
@pytest.mark.parametrize("reload", [by_signal, by_request])
def test_a_file_without_any_of_the_jobs_is_refused(
    daemon: Daemon, text: str, what: str, reload: ReloadBy
) -> None:
    """That of another place, or one that was cut off. It can be asked for."""
    daemon.configure("jobs: {backup: {}, sync: {}}")
    daemon.start()
    daemon.configure(text)

    reload(daemon)

    series = daemon.series()
    assert series[RUNS_TOTAL, "backup"] == series[RUNS_TOTAL, "sync"] == 0
    assert series["afterrun_config_last_reload_successful", ""] == 0
    (line,) = [line for line in daemon.log.splitlines() if "config_refused" in line]
    assert what in line
    assert "POST /-/reload?retire=all, or restart the daemon" in line

    assert daemon.post("/-/reload?retire=any").status == 400
    assert daemon.post("/-/reload?retire=all").status == 200
    assert (RUNS_TOTAL, "backup") not in daemon.series()


def test_the_only_job_may_be_renamed(daemon: Daemon) -> None:
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    daemon.configure("jobs: {nightly-backup: {}}")

    assert daemon.post("/-/reload").status == 200


def test_a_file_that_hangs_blocks_neither_reports_nor_a_stop(daemon: Daemon) -> None:
    """Seen: no reload ever again, and a stop that never ended."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    daemon.config.unlink()
    os.mkfifo(daemon.config)

    daemon.send_signal(SIGHUP)
    wait_until(lambda: "msg=config_refused" in daemon.log, "it is given up")

    assert "cannot be read within 10 s: is it a pipe, or on NFS?" in daemon.log
    assert daemon.get("/ping/backup").status == 200
    assert daemon.post("/-/reload").status == 500
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
