"""Past runs in a real daemon: after a restart, a repeated import counts nothing twice."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.daemon.conftest import MakeDaemon
from tests.e2e.daemon.daemon import AFTERRUN, Daemon, Ended

CONFIG = """
retention: {runs_per_job: 100}
jobs: {ingest: {every: 1h, rules: [rows > 0]}}
"""


def load(daemon: Daemon, file: Path, *more: str) -> Ended:
    """Run the command as a person does, next to the daemon."""
    command = [str(AFTERRUN), "import", "runs", str(file), "--url", daemon.url, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def run(number: int) -> dict[str, Any]:
    """Return the run of an hour in the past, of which every tenth breaks the rule."""
    ended = 1_700_000_000 + 3600 * number
    return {"job": "ingest", "ended_at": ended, "metrics": {"rows": number % 10}}


def test_runs_are_loaded_once(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "runs.ndjson"
    file.write_text("".join(f"{json.dumps(run(n))}\n" for n in range(250)))
    daemon = make_daemon()
    daemon.configure(CONFIG)
    daemon.start()

    first = load(daemon, file)

    assert first.code == 0, first.stderr
    assert first.stdout.startswith("250 lines: 100 runs loaded, 150 too old to be kept")
    daemon.post("/ping/ingest", {"metrics": {"rows": 5}})
    daemon.stop()
    daemon.start()
    again = load(daemon, file)
    assert again.stdout.startswith(
        "250 lines: 0 runs loaded, 99 already recorded, 151 "
    )
    assert daemon.get("/api/v1/alerts").json()["alerts"] == []
    assert daemon.get("/api/v1/jobs/ingest").json()["state"] == "ok"
    assert daemon.series()["afterrun_job_runs_total", "ingest"] == 101
