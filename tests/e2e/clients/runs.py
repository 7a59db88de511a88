"""What the daemon says about the jobs that clients have reported."""

from __future__ import annotations

from typing import Any

from tests.e2e.daemon.daemon import Daemon


def runs_of(daemon: Daemon, job: str) -> list[dict[str, Any]]:
    """Return the finished runs of *job*, the newest first."""
    runs: list[dict[str, Any]] = daemon.get(f"/api/v1/jobs/{job}/runs").json()["runs"]
    return runs


def jobs(daemon: Daemon) -> dict[str, int]:
    """Return how many runs each job has open."""
    found = daemon.get("/api/v1/jobs").json()["jobs"]
    return {job["name"]: job["running"] for job in found}
