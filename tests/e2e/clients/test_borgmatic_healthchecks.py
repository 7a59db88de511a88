"""borgmatic's Healthchecks hook, with a backup that works and one that does not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.e2e.clients.clients import CLIENTS, environment, jobs, runs
from tests.e2e.daemon.daemon import Daemon

CONFIG = """
source_directories: [{source}]
repositories: [{{path: {repository}}}]
unknown_unencrypted_repo_access_is_ok: true
healthchecks:
  ping_url: {url}/ping/a-key/nightly
  create_slug: true
  send_logs: true
"""


def borgmatic(folder: Path, daemon: Daemon, *arguments: str) -> int:
    """Run borgmatic in *folder* alone; return its exit status."""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("worth a backup", "utf-8")
    config = folder / "borgmatic.yaml"
    repository = folder / "repository"
    config.write_text(
        CONFIG.format(source=source, repository=repository, url=daemon.url), "utf-8"
    )
    done = subprocess.run(
        [CLIENTS / "borgmatic", "--config", config, *arguments],
        env=environment(HOME=str(folder), XDG_RUNTIME_DIR=str(folder)),
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.returncode


def test_a_backup_that_works_is_one_run(daemon: Daemon, tmp_path: Path) -> None:
    command = ["borg", "init", "--encryption=none", str(tmp_path / "repository")]
    home = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run(command, env=home, check=True, capture_output=True)

    assert borgmatic(tmp_path, daemon, "create") == 0

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "ok"
    assert run["duration"] > 0
    assert "repository" in run["message"]
    assert jobs(daemon) == {"nightly": 0}


def test_a_backup_that_fails_is_one_failed_run(daemon: Daemon, tmp_path: Path) -> None:
    assert borgmatic(tmp_path, daemon, "create") != 0

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "fail"
    assert "repository" in run["message"]
    assert jobs(daemon) == {"nightly": 0}
