"""The jobs that every benchmark measures with, and their reports."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from afterrun_exporter import config
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.deadlines import schedule_text
from afterrun_exporter.core.model import Job, JobState, Ping, Run, Transition
from afterrun_exporter.core.transitions import on_ping, registered
from afterrun_exporter.ingest.reports import ping_of
from afterrun_exporter.storage.store import Change, Store

#: Runs that every job has behind it: enough that its memory of repeats is full,
#: so that a job of the small fleet is no larger than one of the large fleet.
AGE: Final = 32

_DAY: Final = 86400.0
_METRICS_LIMIT: Final = 50

_JOB: Final = """
  job-{number:05d}:
    schedule: "{minute} {hour} * * *"
    timezone: Europe/Riga
    grace: 1d
    rules:
      - rows_processed >= 0.5 * previous
      - error_ratio <= 5%
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
    """Reports of jobs in an order that visits all of them, and no job twice near.

    Every report has a run id of its own, so that none is a repeat.
    """

    def __init__(self, size: int) -> None:
        self._names = [f"job-{n:05d}" for n in range(size)]
        # The same order on every run of the benchmark; nothing here is secret.
        self._random = Random(size)  # noqa: S311
        self._numbers = count()
        self._random.shuffle(self._names)

    def fields(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the next job to report, and its report."""
        number = next(self._numbers)
        vary = self._random.uniform(1.0, 1.5)
        return self._names[number % len(self._names)], {
            "status": "ok",
            "run_id": f"bench-{number:012d}",
            "duration_ms": round(48_000 * vary),
            "metrics": {
                "rows_processed": round(120_000 * vary),
                "file_size_bytes": round(3_400_000 * vary),
                "error_ratio": round(0.01 * vary, 5),
            },
        }

    def ping(self, at: float) -> Ping:
        """Return the next report as the ping that it is read as."""
        job, fields = self.fields()
        mark = b"%d" % id(fields)
        limit = _METRICS_LIMIT
        ping, _ = ping_of(job, fields, at=at, fingerprint=mark, metrics_limit=limit)
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


async def age(store: Store, jobs: Mapping[str, Job]) -> None:
    """Give every job the same `AGE` daily runs, the last of them just now."""
    now = SystemClock().now()
    template = next(iter(jobs.values()))
    state, runs = _lived(template, now)

    def decided(job: Job) -> Transition:
        own = replace(state, schedule=schedule_text(job))
        return Transition(state=own, runs=runs)

    changes = [Change(job.name, _always(decided(job))) for job in jobs.values()]
    for at in range(0, len(changes), 1000):
        await store.update_all(changes[at : at + 1000])


def database(path: Path) -> AbstractAsyncContextManager[Store]:
    """Open the store that benchmarks use, on real files."""
    # Imported late: a benchmark without a disk does without.
    from afterrun_exporter.storage.sqlite import SQLiteStore  # noqa: PLC0415

    return SQLiteStore.open(path)


def _lived(job: Job, now: float) -> tuple[JobState, tuple[Run, ...]]:
    settings = read(1).catalogue.settings
    reports = Reports(1)
    state = registered(job, now - (AGE + 1) * _DAY)
    runs: list[Run] = []
    for day in range(AGE):
        ping = reports.ping(now - (AGE - 1 - day) * _DAY)
        done = on_ping(job, state, replace(ping, job=job.name), settings)
        state = done.state
        runs.extend(done.runs)
    return state, tuple(runs)


def _always(transition: Transition) -> Any:
    return lambda _: transition


def _unused() -> Iterator[float]:
    yield math.inf
