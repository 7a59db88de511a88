"""borgmatic backs up with Debian's borg, and tells us how it went."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.clients.clients import run, runs
from tests.e2e.daemon.daemon import Daemon

CONFIG = """
source_directories: [{source}]
repositories: [{{path: {repository}, label: here}}]
unknown_unencrypted_repo_access_is_ok: true
{hook}
{commands}
"""

#: Its hooks: what stands in its configuration, and the job that it becomes.
HOOKS = {
    "cronitor": ("cronitor: {{ping_url: {url}/p/KEY/backup}}", "backup"),
    "sentry": (
        "sentry: {{data_source_name_url: '{dsn}', monitor_slug: backup}}",
        "backup",
    ),
    "uptime_kuma": ("uptime_kuma: {{push_url: {url}/api/push/TOKEN}}", "TOKEN"),
}

FAILING = "commands: [{before: action, when: [create], run: [exit 3]}]"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository, and one file to be kept in it."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "ledger.txt").write_text("42\n")
    place = tmp_path / "repository"
    subprocess.run(["borg", "init", "-e", "none", place], check=True)
    return place


def back_up(repository: Path, hook: str, *, ok: bool) -> None:
    config = repository.parent / "borgmatic.yaml"
    commands = "" if ok else FAILING
    source = repository.parent / "source"
    text = CONFIG.format(
        source=source, repository=repository, hook=hook, commands=commands
    )
    config.write_text(text)
    run("borgmatic", "--config", config, "create", ok=ok, HOME=str(repository.parent))


@pytest.mark.parametrize("name", HOOKS)
def test_a_good_backup_and_a_failing_one_are_a_run_each(
    daemon: Daemon, repository: Path, name: str
) -> None:
    written, job = HOOKS[name]
    dsn = daemon.url.replace("http://", "http://public@") + "/42"
    hook = written.format(url=daemon.url, dsn=dsn)
    back_up(repository, hook, ok=True)
    back_up(repository, hook, ok=False)

    good, bad = runs(daemon, job)
    assert (good["outcome"], bad["outcome"]) == ("ok", "fail")
    # It told when it began.
    assert good["duration"] > 0
    assert daemon.series()["afterrun_job_running", job] == 0
