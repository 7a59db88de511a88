"""What a daemon has recorded, as its API tells it."""

from __future__ import annotations

from typing import Any

from afterrun_exporter.core.timestamps import parse_time
from tests.e2e.daemon.daemon import Daemon


def runs(daemon: Daemon, job: str) -> list[dict[str, Any]]:
    """Return the finished runs of *job*, the oldest first."""
    found = daemon.get(f"/api/v1/jobs/{job}/runs").json()
    return list(reversed(found["runs"]))


def only_run(daemon: Daemon, job: str) -> dict[str, Any]:
    """Return the one run that *job* has had."""
    (run,) = runs(daemon, job)
    return run


def instant(text: str) -> float:
    """Return a time of the API in Unix seconds."""
    return parse_time(text)


def alerts(daemon: Daemon) -> list[str]:
    """Return the kinds of all alerts that ever opened."""
    return [one["kind"] for one in daemon.get("/api/v1/alerts").json()["alerts"]]


def total(daemon: Daemon, family: str, job: str) -> float:
    """Return what a counter of *job* has come to."""
    return daemon.series()[f"afterrun_job_{family}_total", job]
