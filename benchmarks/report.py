"""How long does a report on 10,000 jobs over 30 days take, and is the loop held?

Every job has 24 runs a day. The figures of the days are in a database on disk; the loop
is watched as in `large_scrape`.
"""

from __future__ import annotations

import gc
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import uvloop
from msgspec.structs import replace

from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.daily_figures import (
    DAY,
    DayFigures,
    day_of,
)
from afterrun_exporter.core.durations import mark_of
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.job_query import JobQuery
from afterrun_exporter.core.period_reports import encode_report, parse_period
from afterrun_exporter.engine.period_reports import report
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.sqlite import daily_figures
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from benchmarks.fleet import read
from benchmarks.large_scrape import Holds
from benchmarks.rounds import Measured, table, verdict

JOBS: Final = 10_000
DAYS: Final = 90
RUNS: Final = 24
#: Resolved alerts of each job.
ALERTS: Final = 5
ROUNDS: Final = 5
#: Seconds for a report, and seconds that the loop may be held.
BAR: Final = 1.0
HOLD_BAR: Final = 0.05

QUESTIONS: Final = (
    ("30 days, the 100 worst jobs", JobQuery(), "30d", 100),
    ("30 days, all jobs", JobQuery(), "30d", JOBS),
    ("30 days, one team", JobQuery(label=("team=team-7",)), "30d", 100),
    ("7 days", JobQuery(), "7d", 100),
    ("90 days", JobQuery(), "90d", 100),
)
HEAD: Final = (
    "report",
    "time",
    "JSON",
    f"bar {BAR:g} s",
    "the loop was held",
    "CPU",
    f"bar {HOLD_BAR:g} s",
)


def described() -> JobConfig:
    """Return the jobs, with labels, projects and tags."""
    jobs = {
        name: replace(
            job,
            labels=(("env", "prod"), ("team", f"team-{n % 20}")),
            project=f"p{n % 7}",
            tags=("db", "nightly") if n % 3 else ("db",),
        )
        for n, (name, job) in enumerate(read(JOBS).job_config.jobs.items())
    }
    return JobConfig(jobs=jobs, unknown=None)


def fill(path: Path, now: float) -> None:
    """Write the figures of all days, and the alerts."""
    chance = random.Random(1)  # noqa: S311
    marks = [mark_of(chance.lognormvariate(3.0, 0.5)) for _ in range(1000)]
    today = day_of(now)
    with closing(sqlite3.connect(path)) as connection, connection:
        ids = [id_ for (id_,) in connection.execute("SELECT id FROM jobs")]
        for id_ in ids:
            figures = DayFigures((RUNS - 1, 1, 0, 0, 0, 0, 0, 0), 1, 0)
            daily_figures.add(
                connection,
                (
                    (
                        (id_, today - day),
                        figures._replace(
                            durations="".join(chance.choices(marks, k=RUNS))
                        ),
                    )
                    for day in range(DAYS)
                ),
            )
        connection.executemany(
            "INSERT INTO alerts (job_id, condition, rule, severity, summary, run, "
            "opened_at, resolved_at) VALUES (?, 'failing', '', 'warning', '', 1, ?, ?)",
            (
                (id_, at, at + 600.0)
                for id_ in ids
                for at in sorted(
                    now - chance.random() * 30 * DAY for _ in range(ALERTS)
                )
            ),
        )


async def measure() -> bool:
    """Print the table; return whether the bars are kept to."""
    clock = SystemClock()
    rows, kept = [], True
    with TemporaryDirectory() as folder:
        path = Path(folder) / "afterrun.db"
        async with SQLiteStore.open(path) as store:
            await Service(store, clock, described()).start()
        fill(path, clock.now())
        async with SQLiteStore.open(path) as store:
            service = Service(store, clock, described())
            await service.start()
            gc.collect()
            gc.freeze()
            for what, query, text, jobs in QUESTIONS:
                holds, times, size = Holds(), [], 0
                for _ in range(ROUNDS):
                    period = parse_period(text, clock.now())
                    async with holds.watched():
                        began = perf_counter()
                        found = await report(service, query, period, jobs)
                        size = len(encode_report(found))
                        times.append(perf_counter() - began)
                taken, cpu = Measured(times), max(holds.cpu)
                has_bar = text != "90d"
                kept &= (not has_bar or taken.median <= BAR) and cpu <= HOLD_BAR
                rows.append(
                    (
                        what,
                        taken.seconds(),
                        f"{size:,} bytes",
                        verdict(taken.median, BAR) if has_bar else "",
                        f"{max(holds.seconds) * 1000:.3g} ms",
                        f"{cpu * 1000:.3g} ms",
                        verdict(cpu, HOLD_BAR),
                    )
                )
    print(f"{JOBS:,} jobs with {RUNS} runs a day and figures of {DAYS} days\n")
    print(table(HEAD, rows))
    return kept


if __name__ == "__main__":
    sys.exit(not uvloop.run(measure()))
