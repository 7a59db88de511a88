"""The sample pipelines check a commit, and show what it changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.git.repositories import Origin

#: Real git, in many processes.
pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "git"


def github() -> list[str]:
    document = yaml.safe_load((FOLDER / "github.yml").read_text("utf-8"))
    steps = document["jobs"]["check"]["steps"]
    return [step["run"] for step in steps if "run" in step]


def gitlab() -> list[str]:
    document = yaml.safe_load((FOLDER / "gitlab.yml").read_text("utf-8"))
    script: list[str] = document["afterrun"]["script"]
    return script


def documented() -> list[str]:
    text = (ROOT / "docs" / "configuration-in-git.md").read_text("utf-8")
    (block,) = (part for part in text.split("```") if "generate prometheus" in part)
    return block.removeprefix("sh\n").splitlines()


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    origin = Origin.create(tmp_path / "jobs")
    config = "jobs: {backup: {every: 1h, alerting: dedicated, max_runtime: 10m}}\n"
    origin.commit({"afterrun.yml": config})
    run(origin, ["afterrun generate prometheus", "afterrun generate alertmanager"])
    origin.commit({})
    return origin


def run(origin: Origin, commands: list[str]) -> subprocess.CompletedProcess[str]:
    """Run *commands* as a pipeline does, without the installation."""
    steps = [one for one in commands if not one.startswith("pip install")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", "\n".join(steps)],
        cwd=origin.folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


PIPELINES = {"github": github(), "gitlab": gitlab(), "documented": documented()}


@pytest.mark.parametrize("commands", PIPELINES.values(), ids=PIPELINES)
def test_a_pipeline_accepts_a_commit_that_is_whole(
    origin: Origin, commands: list[str]
) -> None:
    result = run(origin, commands)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "no problems" in result.stdout


@pytest.mark.parametrize("commands", PIPELINES.values(), ids=PIPELINES)
def test_a_pipeline_shows_what_a_change_changes(
    origin: Origin, commands: list[str]
) -> None:
    """And it fails, because the generated files are not committed with it."""
    config = "jobs: {backup: {every: 1h, alerting: dedicated, max_runtime: 20m}}\n"
    origin.commit({"afterrun.yml": config})

    result = run(origin, commands)

    assert result.returncode == 1
    assert "+++ b/new/rules/afterrun.rules.yml" in result.stdout
    assert "out of date" in result.stderr


@pytest.mark.parametrize("commands", PIPELINES.values(), ids=PIPELINES)
def test_a_pipeline_refuses_a_broken_commit(
    origin: Origin, commands: list[str]
) -> None:
    origin.commit({"afterrun.yml": "jobs: {backup: {evry: 1h}}\n"})

    result = run(origin, commands)

    assert result.returncode == 1
    assert "afterrun.yml:1: jobs.backup.evry: unknown key" in result.stderr
