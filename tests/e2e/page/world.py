"""Jobs with a past, some of them in trouble, as people meet them on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from afterrun_exporter.core.timestamps import format_time

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR

CONFIG: Final = """
labels: [team]
defaults: {timezone: Europe/Riga, grace: 10m}
jobs:
  nightly-backup:
    description: Dump the database and copy it off site
    schedule: "0 2 * * *"
    grace: 2d
    max_runtime: 1h
    severity: critical
    labels: {team: data}
    project: infrastructure
    tags: [backup, database]
    runbook_url: https://wiki.example/backup
    rules:
      - rows_processed > 0
      - file_size_bytes > 1KiB
      - duration < 45m
      - {expr: rows_processed >= 0.5 * previous, name: rows-halved, on_missing: ignore}
  crm-sync:
    description: Copy new customers from the CRM
    every: 1h
    grace: 2d
    labels: {team: sales}
    rules: [error_ratio <= 5%]
    alerts: {after_failures: 3}
  sales-report:
    description: Mail the figures before New York gets to work
    schedule: "30 6 * * mon-fri"
    timezone: America/New_York
    severity: info
    labels: {team: sales}
    grace: 7d
    rules: [recipients between 1 and 500]
  transform:
    description: Build the tables that the reports read
    every: 1h
    grace: 2d
    max_runtime: 30m
    project: infrastructure
    labels: {team: data}
    depends_on: [nightly-backup]
    alerts:
      success_ratio: {below: 80%, over: 7d, min_runs: 5}
      slower_than: {factor: 2, than: median, over: 7d, min_runs: 3}
  reindex:
    description: Started by hand, so it is never late, only wrong
  archive:
    description: Switched off while the tape robot is away
    enabled: false
"""

TRACEBACK: Final = """Traceback (most recent call last):
  File "/opt/crm/sync.py", line 88, in <module>
    main()
  File "/opt/crm/sync.py", line 41, in fetch
    raise ConnectionError(f"{host}: connection refused")
ConnectionError: crm.example.com:443: connection refused"""


def reports(now: float) -> Iterator[dict[str, Any]]:
    """Yield what the jobs have reported up to *now*, in the order in which they did."""
    found = [*_backups(now), *_syncs(now), *_others(now)]
    yield from sorted(found, key=lambda report: report["ended_at"])


def _report(job: str, ended: float, took: float, **more: Any) -> dict[str, Any]:
    return {
        "job": job,
        "run_id": f"{job}-{int(ended)}",
        "started_at": format_time(ended - took),
        "ended_at": format_time(ended),
        "duration_seconds": took,
        **more,
    }


def _backups(now: float) -> Iterator[dict[str, Any]]:
    for day in range(28, 0, -1):
        rows = 118_000 + 900 * (28 - day) + 4_000 * (day % 5)
        took = 660.0 + 45 * (day % 7)
        metrics = {"rows_processed": rows, "file_size_bytes": rows * 402}
        if day == 13:
            took = 2_940.0
        yield _report("nightly-backup", now - day * DAY, took, metrics=metrics)
    yield _report(
        "nightly-backup",
        now - 2.2 * HOUR,
        5.0,
        metrics={"rows_processed": 0, "file_size_bytes": 48_211},
        message="pg_dump: warning: there were no tables to dump\nuploaded 1 file",
        exit_code=0,
        metadata={"host": "db1", "git_sha": "abc123"},
    )


def _syncs(now: float) -> Iterator[dict[str, Any]]:
    for hour in range(30, 0, -1):
        failed = hour <= 3 or hour == 19
        yield _report(
            "crm-sync",
            now - hour * HOUR + 600,
            21.0 + hour % 4,
            status="fail" if failed else "ok",
            exit_code=1 if failed else 0,
            message=TRACEBACK if failed else "",
            metrics={} if failed else {"error_ratio": 0.01 + 0.002 * (hour % 9)},
        )


def _others(now: float) -> Iterator[dict[str, Any]]:
    for hour in range(20, 0, -1):
        yield _report("transform", now - hour * HOUR + 900, 300.0 + 20 * (hour % 3))
    for day in range(10, 0, -1):
        yield _report(
            "sales-report", now - day * DAY, 41.0, metrics={"recipients": 212}
        )
    statuses = ("ok", "partial", "canceled", "timeout", "ok", "ok")
    for day, status in zip(range(6, 0, -1), statuses, strict=True):
        yield _report("reindex", now - day * DAY, 1_260.0, status=status)
    yield _report("stray-cleanup", now - 2 * DAY, 3.0, metrics={"files": 12})
    yield _report("stray-cleanup", now - DAY, 4.0, metrics={"files": 0})
