"""`afterrun check --git` checks what is committed, as a daemon will read it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.group import afterrun
from tests.git.repositories import Origin

GOOD = "jobs: {backup: {every: 1h}}\n"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    origin = Origin.create(tmp_path / "origin")
    origin.commit({"conf/jobs/a.yml": GOOD, "conf/jobs/b.yml": "jobs: {b: {}}\n"})
    return origin


def check(*arguments: object) -> Result:
    return CliRunner().invoke(afterrun, ["check", *map(str, arguments)])


def test_what_is_committed_is_checked(origin: Origin) -> None:
    head = origin.commit({})
    folder = origin.folder / "conf" / "jobs"
    (folder / "a.yml").write_text("broken")

    result = check(folder, "--git")

    assert result.output == (
        f"{folder}: 2 files, 2 jobs, 1 scheduled, 0 rules: no problems\n"
    )
    (folder / "a.yml").unlink()
    assert check(folder / "a.yml", "--git", "--git-ref", head).exit_code == 0


def test_problems_name_the_commit(origin: Origin) -> None:
    """A link works on the disk of who wrote it, and not for the daemon."""
    (origin.folder / "conf" / "jobs" / "c.yml").symlink_to("a.yml")
    head = origin.commit({"conf/d.yml": "jobs: {d: {evry: 1h}}\n"})

    linked = check(origin.folder / "conf" / "jobs", "--git")
    wrong = check(origin.folder / "conf" / "d.yml", "--git", "--json")

    assert linked.stderr == (
        f"{head[:12]}:conf/jobs/c.yml: is a symbolic link, which is not followed: "
        "use the file itself\n"
    )
    (problem,) = json.loads(wrong.stdout)["problems"]
    assert (wrong.exit_code, problem["file"]) == (1, f"{head[:12]}:conf/d.yml")


def test_the_root_of_the_repository_is_a_directory_like_others(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({"root.yml": GOOD})
    monkeypatch.chdir(origin.folder)

    assert check(".", "--git").output == ".: 1 job, 1 scheduled, 0 rules: no problems\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["conf/jobs", "--git", "--git-ref=absent"], "fatal|Needed a single revision"),
        (["conf/jobs", "--git", "--git-ref=-x"], "--git-ref '-x' is not the name"),
        (["conf/jobs", "--git-ref=main"], "--git-ref has no effect without --git"),
        (["absent.yml", "--git"], "is not in commit"),
        (["..", "--git"], "not a git repository"),
    ],
)
def test_what_cannot_be_checked_is_named(
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(origin.folder)

    result = check(*arguments)

    assert result.exit_code in {1, 2}
    assert any(one in result.stderr for one in message.split("|"))


def test_the_environment_does_not_lead_elsewhere(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a hook, git sets variables for other programs."""
    monkeypatch.setenv("GIT_DIR", os.devnull)

    assert check(origin.folder / "conf" / "jobs", "--git").exit_code == 0
