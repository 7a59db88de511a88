"""The jobs that all benchmarks measure with, and the reports they send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from afterrun_exporter import config
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.deadlines import schedule_text
from afterrun_exporter.core.model import Job, Ping, Run, Settings
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.transitions import on_ping, registered
from afterrun_exporter.ingest.reports import ping_of
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Change, Decide, Store

#: Runs that every job has behind it. Its memory of repeats is then full, so a
#: job that is pinged often is no larger than one that is pinged rarely.
AGE: Final = 32

#: Jobs that are aged in one transaction.
STEP: Final = 1000

_DAY: Final = 86400.0

_JOB: Final = """
  job-{number:05d}:
    schedule: "{minute} {hour} * * *"
    timezone: Europe/Riga
    grace: 1d
    rules:
      - rows_processed >= 0.5 * previous
      - error_ratio <= 5%
"""


#: Jobs that no file names: pings registered them, and policies say what they are
#: to keep to. Nobody writes 100,000 jobs by hand.
_POLICIES: Final = """
limits: {{jobs: {jobs}}}
retention: {{runs_per_job: 100000}}
defaults: {{timezone: Europe/Riga, grace: 1d}}
policies:
  - match: {{name: "^job-"}}
    rules:
      - rows_processed >= 0.5 * previous
      - error_ratio <= 5%
{schedules}"""
_SCHEDULE: Final = """\
  - {{match: {{name: "{digit}$"}}, schedule: "{minute} 2 * * *"}}
"""


def config_text(size: int) -> str:
    """Return an afterrun.yml of *size* jobs with a schedule and two rules each."""
    jobs = (
        _JOB.format(number=n, minute=n % 60, hour=n // 60 % 24) for n in range(size)
    )
    return "jobs:" + "".join(jobs)


def read(size: int) -> config.Config:
    """Return what the afterrun.yml of *size* jobs says."""
    return config.parse(config_text(size))


class Reports:
    """Reports with three metrics, of all jobs in turn, in a shuffled order.

    *series* names their runs: no run is reported twice within one.
    """

    def __init__(self, size: int, series: str) -> None:
        # The same on every machine; nothing here is secret.
        self._random = Random(size)  # noqa: S311
        self._names = [f"job-{n:05d}" for n in range(size)]
        self._random.shuffle(self._names)
        self._series = series
        self._numbers = count()

    def fields(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the next job, and its report."""
        number = next(self._numbers)
        vary = self._random.uniform(1.0, 1.5)
        return self._names[number % len(self._names)], {
            "status": "ok",
            "run_id": f"{self._series}-{number:08d}",
            "duration_ms": round(48_000 * vary),
            "metrics": {
                "rows_processed": round(120_000 * vary),
                "file_size_bytes": round(3_400_000 * vary),
                "error_ratio": round(0.01 * vary, 5),
            },
        }

    def ping(self, at: float) -> Ping:
        """Return the next report as it is read when it comes in at *at*."""
        job, fields = self.fields()
        ping, _ = ping_of(job, fields, at=at, fingerprint=b"", metrics_limit=50)
        return ping

    def request(self) -> bytes:
        """Return the next report as an HTTP request."""
        job, fields = self.fields()
        body = json.dumps(fields).encode()
        return (
            b"POST /ping/%s HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (job.encode(), len(body), body)
        )


async def age(store: Store, jobs: Mapping[str, Job], runs: int = AGE) -> None:
    """Give each of *jobs* the same *runs* daily runs, the last of them just now."""
    state, past = _life(next(iter(jobs.values())), runs)
    changes = [
        Change(
            name,
            _always(
                Transition(state=replace(state, schedule=schedule_text(job)), runs=past)
            ),
        )
        for name, job in jobs.items()
    ]
    for at in range(0, len(changes), STEP):
        await store.update_all(changes[at : at + STEP])


def files(folder: Path, size: int) -> tuple[Path, Path]:
    """Write an afterrun.yml of *size* jobs and their database; return the two."""
    text, database = folder / f"{size}.yml", folder / f"{size}.db"
    text.write_text(config_text(size), "utf-8")

    async def fill() -> None:
        async with SQLiteStore.open(database) as store:
            await age(store, read(size).jobs)

    asyncio.run(fill())
    return text, database


def registered_files(folder: Path, size: int, runs: int) -> tuple[Path, Path]:
    """Write an afterrun.yml of policies, and the database of *size* jobs.

    Pings registered them, and each has so many *runs* behind it.
    """
    text, database = folder / f"registered-{size}.yml", folder / f"registered-{size}.db"
    schedules = (_SCHEDULE.format(digit=n, minute=6 * n) for n in range(10))
    written = _POLICIES.format(jobs=2 * size, schedules="".join(schedules))
    text.write_text(written, "utf-8")
    register = config.parse(written).job_config.nameless
    # Making a job of policies takes long; ten of them are all there are.
    kinds = [register(f"job-{n:06d}") for n in range(10)]
    names = ((n, f"job-{n:06d}") for n in range(size))
    jobs = {name: kinds[n % 10] for n, name in names}

    async def fill() -> None:
        async with SQLiteStore.open(database) as store:
            await age(store, jobs, runs)

    asyncio.run(fill())
    return text, database


def _life(job: Job, days: int) -> tuple[JobState, tuple[Run, ...]]:
    reports, settings, now = Reports(1, "past"), Settings(), SystemClock().now()
    state = registered(job, now - days * _DAY)
    runs: list[Run] = []
    for days_ago in reversed(range(days)):
        ping = reports.ping(now - days_ago * _DAY)
        made = on_ping(job, state, ping, settings)
        state = made.state
        runs.extend(made.runs)
    return state, tuple(runs)


def _always(transition: Transition) -> Decide:
    return lambda _: transition
