"""Flags for a repository that cannot be: one line, without secrets, and exit status 1."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.git_flags import GitFlags
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.git.remote import USERNAME
from tests.git.repositories import Origin

URL = "--config.git-url=https://git.example/jobs"


def serve(*flags: str) -> Result:
    return CliRunner().invoke(afterrun, ["serve", "--config.check", *flags])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--config.git-ref=main"],
            "--config.git-ref has no effect without --config.git-url: add it",
        ),
        (
            ["--config.git-token-file=s3cret"],
            "--config.git-token-file has no effect without --config.git-url: add it",
        ),
        (
            [URL, "--config.file=afterrun.yml"],
            (
                "--config.file and --config.git-url are two configurations: use one of "
                "them; --config.git-path is the path in the repository"
            ),
        ),
        (
            ["--config.git-url=https://x:s3cret@git.example/jobs"],
            (
                "--config.git-url has a user name or password, which lists of processes "
                "show: remove it and use --config.git-token-file"
            ),
        ),
        (
            [URL, "--config.git-ref=a..b"],
            "--config.git-ref 'a..b' is not the name of a branch, tag or commit",
        ),
        (
            [URL, "--config.git-path=../x"],
            "--config.git-path '../x' may leave the repository: remove '..'",
        ),
        (
            [URL, "--config.git-username=a:b"],
            "--config.git-username 'a:b' is no user name",
        ),
        (
            [URL, "--config.git-ca-file=/absent.pem"],
            "--config.git-ca-file '/absent.pem' is not a file",
        ),
        (
            ["--config.git-url=/srv/jobs", "--config.git-token-file=x"],
            "--config.git-token-file has no effect with a local path",
        ),
    ],
)
def test_what_is_wrong_is_named(flags: list[str], message: str) -> None:
    result = serve(*flags)

    assert (result.exit_code, result.stderr) == (1, f"afterrun: {message}\n")


def test_git_must_be_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "needs the program git, which is not in PATH" in serve(URL).stderr


@pytest.mark.parametrize("value", ["0s", "-1m", "soon"])
def test_intervals_are_durations(value: str) -> None:
    assert serve(URL, f"--config.git-interval={value}").exit_code == 2


def test_defaults() -> None:
    followed = GitFlags(url="/srv/jobs").repository(None)

    assert followed is not None
    assert (followed.interval, followed.timeout) == (60.0, 120.0)
    remote = followed.remote
    assert (remote.url, remote.ref) == ("file:///srv/jobs", "HEAD")
    assert (remote.path, remote.username) == ("afterrun.yml", USERNAME)


def test_a_commit_is_checked_without_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    origin = Origin.create(tmp_path / "origin")
    origin.commit({"afterrun.yml": "jobs: {}\n"})
    flag = f"--config.git-url={origin.url}"

    assert serve(flag).exit_code == 0
    head = origin.commit({"afterrun.yml": "jobs: []\n"})
    result = serve(flag)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"{head[:12]}:afterrun.yml:1: jobs: ")
    assert [path.name for path in tmp_path.iterdir()] == ["origin"]
