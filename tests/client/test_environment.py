"""Where a job runs: its commit, without running git, and its spool."""

from __future__ import annotations

import subprocess
from itertools import islice
from pathlib import Path

import pytest

from afterrun_exporter.client.commands import summary
from afterrun_exporter.client.environment import command_line, git_sha, metadata
from afterrun_exporter.client.execute import pauses
from afterrun_exporter.client.settings import default_spool


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a commit, and a folder in it."""
    git(tmp_path, "init", "-q", "-b", "main", "repo")
    repo = tmp_path / "repo"
    git(repo, "commit", "-q", "--allow-empty", "-m", "first")
    (repo / "inner").mkdir()
    return repo


def git(folder: Path, *words: str) -> str:
    me = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    finished = subprocess.run(
        ["git", *me, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return finished.stdout.strip()


def test_the_commit_is_found_from_anywhere_inside(checkout: Path) -> None:
    assert git_sha(checkout / "inner") == git(checkout, "rev-parse", "HEAD")


def test_the_commit_is_found_among_packed_refs(checkout: Path) -> None:
    git(checkout, "pack-refs", "--all")

    assert git_sha(checkout) == git(checkout, "rev-parse", "HEAD")


def test_the_commit_of_a_worktree_is_its_own(checkout: Path) -> None:
    git(checkout, "worktree", "add", "-q", "-b", "other", "../tree")
    tree = checkout.parent / "tree"
    git(tree, "commit", "-q", "--allow-empty", "-m", "second")

    assert git_sha(tree) == git(tree, "rev-parse", "HEAD")
    assert git_sha(tree) != git_sha(checkout)


def test_a_detached_head_is_a_commit(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "--detach")

    assert git_sha(checkout) == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    "head", ["", "ref: refs/heads/none", "nonsense", "ref: ../../x"]
)
def test_a_head_that_says_nothing_is_no_commit(tmp_path: Path, head: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text(head)

    assert git_sha(tmp_path) is None


def test_a_long_command_is_cut() -> None:
    assert command_line(["echo", "a b"]) == "echo 'a b'"
    assert len(command_line(["x" * 10_000])) == 501


def test_a_scheduler_is_heard(tmp_path: Path) -> None:
    known = metadata({"INVOCATION_ID": "abc", "HOME": "/root"}, tmp_path)

    assert known["systemd_invocation_id"] == "abc"
    assert known.keys() == {"host", "user", "pid", "systemd_invocation_id"}


@pytest.mark.parametrize(
    ("environ", "uid", "folder"),
    [
        ({}, 0, "/var/spool/afterrun"),
        ({"XDG_STATE_HOME": "/state"}, 1000, "/state/afterrun/spool"),
        ({"XDG_STATE_HOME": "/state"}, 0, "/var/spool/afterrun"),
        ({"AFTERRUN_SPOOL": "/s", "XDG_STATE_HOME": "/state"}, 1000, "/s"),
        ({"AFTERRUN_SPOOL": "/s"}, 0, "/s"),
    ],
)
def test_everybody_has_a_spool(environ: dict[str, str], uid: int, folder: str) -> None:
    assert default_spool(environ, uid) == Path(folder)


def test_a_user_has_it_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")

    for state in ("", "relative"):
        folder = default_spool({"XDG_STATE_HOME": state}, 1000)
        assert folder == Path("/home/x/.local/state/afterrun/spool")


def test_the_pauses_between_attempts_grow_to_an_hour() -> None:
    minutes = [pause / 60 for pause in islice(pauses(60.0), 9)]

    assert minutes == [0, 1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"kind": "finish", "outcome": "ok"}, "backup: ok"),
        ({"kind": "progress", "outcome": None}, "backup: progress recorded"),
        (
            {"outcome": "ok", "duplicate": True},
            "backup: ok (recorded before)",
        ),
        (
            {
                "outcome": "violated",
                "violations": [
                    {"rule": "rows > 0", "value": 0},
                    {"rule": "size > 1KiB", "value": None},
                ],
            },
            "backup: violated: rows > 0 (0), size > 1KiB (missing)",
        ),
    ],
)
def test_a_verdict_is_a_line(answer: dict[str, object], line: str) -> None:
    assert summary("backup", answer) == line
