"""Whatever is asked of a running daemon, it answers as its OpenAPI document says.

Schemathesis makes the requests of the document: such as fit it, and such as do not.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.daemon.daemon import Daemon

SCHEMATHESIS: Final = Path(sys.executable).with_name("schemathesis")

CONFIG: Final = """
labels: [team]
jobs:
  backup: {schedule: "0 2 * * *", rules: [rows > 0], labels: {team: data}}
  sync: {every: 1h, tags: [db], project: shop}
"""

#: A document cannot say which fields go with which value of another: what fits it may
#: be refused all the same.
STRICTER: Final = "positive_data_acceptance"
#: A report with a field that cannot be used counts without that field.
LENIENT: Final = "negative_data_rejection"

#: Seconds an answer may take: the other tests want the same cores, and a configuration is
#: checked in a process of its own.
PATIENCE: Final = 120

RUNS: Final = {
    "the API": ("--exclude-tag=ping", f"--exclude-checks={STRICTER}"),
    "reports": (
        "--include-tag=ping",
        f"--exclude-checks={STRICTER},{LENIENT}",
        # No answer to a report leads to another request.
        "--phases=examples,coverage,fuzzing",
    ),
}

SOON: Final = ("--max-examples=4", "--generation-deterministic")
LONG: Final = ("--max-examples=300", "--generation-database=none")


@pytest.mark.parametrize(
    "examples", [SOON, pytest.param(LONG, marks=pytest.mark.slow)], ids=["soon", "long"]
)
@pytest.mark.parametrize("run", RUNS)
def test_the_daemon_does_as_its_document_says(
    daemon: Daemon, tmp_path: Path, run: str, examples: tuple[str, ...]
) -> None:
    """No request makes it fail, and no answer is one that is not told of."""
    daemon.configure(CONFIG)
    daemon.start()
    for rows in (0, 1, 2):
        daemon.post("/ping/backup", {"metrics": {"rows": rows}, "run_id": str(rows)})
    daemon.post("/ping/stranger", {"status": "fail"})
    target = {"alert_type": "email", "target": "oncall@example.com"}
    daemon.post("/api/v1/jobs/sync/receivers", target)

    ended = subprocess.run(
        (
            *(SCHEMATHESIS, "run", f"{daemon.url}/api/v1/openapi.json"),
            *("--checks=all", "--no-color", f"--request-timeout={PATIENCE}"),
            f"--max-response-time={PATIENCE}",
            *examples,
            *RUNS[run],
        ),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout[-20_000:]
    (tested,) = re.findall(r"Tested: (\d+)", ended.stdout)
    (selected,) = re.findall(r"Selected: (\d+)/", ended.stdout)
    assert int(tested) == int(selected) > 0
    assert "request_failed" not in daemon.log
    assert daemon.get("/-/healthy").status == 200
