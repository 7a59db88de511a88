"""Exit statuses that are no failure, as backup programs have them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.client.conftest import Cron
from tests.e2e.client.records import only_run, runs
from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE

#: Each recipe of docs/exec.md: the program, the options, and the outcome by its status.
RECIPES = {
    "borg": (["--ok-exit", "1"], {0: "ok", 1: "ok", 2: "fail", 100: "fail"}),
    "borg-modern": (
        ["--ok-exit", "1,100-127"],
        {0: "ok", 1: "ok", 2: "fail", 100: "ok", 105: "ok", 80: "fail"},
    ),
    "restic": (["--partial-exit", "3"], {0: "ok", 1: "fail", 3: "partial", 10: "fail"}),
    "rclone": (["--skipped-exit", "9"], {0: "ok", 1: "fail", 9: "skipped", 3: "fail"}),
    "rsync": (
        ["--ok-exit", "24", "--partial-exit", "23"],
        {0: "ok", 24: "ok", 23: "partial", 12: "fail"},
    ),
}

CASES = [
    (program, options, status, outcome)
    for program, (options, outcomes) in RECIPES.items()
    for status, outcome in outcomes.items()
]


def stand_in(cron: Cron, program: str) -> None:
    """Put a program first in the path that exits as it is asked to."""
    path = cron.folder / program
    path.write_text('#!/bin/sh\necho "$0 $*"\nexit "$1"\n', "utf-8")
    path.chmod(0o755)
    cron.environ["PATH"] = f"{cron.folder}:{cron.environ['PATH']}"


def test_recipes(daemon: Daemon, cron: Cron) -> None:
    """The status is passed on, the outcome is recorded, and the page has both."""
    daemon.start()
    for program, options, status, outcome in CASES:
        stand_in(cron, program)
        job = f"{program}-{status}"

        done = cron.exec(job, options, program, str(status))

        run = only_run(daemon, job)
        assert (done.code, run["outcome"]) == (status, outcome), job
        assert done.stderr == "", job
        if outcome in {"ok", "partial", "skipped"} and status:
            assert run["metadata"]["exit_code"] == status
            assert run["message"].endswith(
                f"exit status {status} is {outcome} (--{outcome}-exit)"
            )
            assert (
                f"exit status {status} is {outcome}" in daemon.get(f"/jobs/{job}").text
            )
        else:
            assert run["exit_code"] == status


@pytest.mark.parametrize(
    ("options", "command", "outcomes", "code"),
    [
        # What is no failure is not tried again.
        (["--ok-exit", "3"], "exit 3", ["ok"], 3),
        (["--partial-exit", "3"], "exit 3", ["partial"], 3),
        (["--skipped-exit", "3"], "exit 3", ["skipped"], 3),
        (["--ok-exit", "4"], "exit 3", ["fail", "fail"], 3),
        (["--ok-exit", "2"], "exit $AFTERRUN_ATTEMPT", ["fail", "ok"], 2),
        # Options add up.
        (["--ok-exit", "3", "--ok-exit", "4"], "exit 3", ["ok"], 3),
        # Neither a signal nor a limit is an exit status, nor is what never ran.
        (["--ok-exit", "1-255"], "kill -TERM $$", ["fail", "fail"], 143),
        (["--ok-exit", "143"], "exit 143", ["ok"], 143),
        (
            ["--ok-exit", "1-255", "--timeout", "300ms"],
            f"trap 'exit 3' TERM; sleep {PATIENCE} & wait",
            ["timeout", "timeout"],
            124,
        ),
    ],
)
def test_what_is_no_failure_is_not_tried_again(
    alone: Cron, options: list[str], command: str, outcomes: list[str], code: int
) -> None:
    retries = ["--retries", "1", "--retry-delay", "1ms", "--patience", "1ms"]

    done = alone.exec("backup", [*retries, *options], "sh", "-c", command)

    assert done.code == code
    assert [run["status"] for run in alone.kept()] == outcomes


def test_what_cannot_be_started_has_failed(alone: Cron) -> None:
    options = ["--ok-exit", "1-255", "--patience", "1ms"]

    assert alone.exec("backup", options, "no-such-command").code == 127
    assert [run["status"] for run in alone.kept()] == ["fail"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--ok-exit", "0"],
            "Invalid value for '--ok-exit': exit status 0 is always ok",
        ),
        (["--ok-exit", "1;3"], "'1;3' is not an exit status; write them like 1,3 or"),
        (["--partial-exit", "300"], "300 is not an exit status: the largest is 255"),
        (["--skipped-exit", ""], "'' is not an exit status"),
        (
            ["--ok-exit", "1-5", "--skipped-exit", "5"],
            "exit status 5 is in --skipped-exit and in --ok-exit; leave it in one",
        ),
    ],
)
def test_a_mistake_in_a_list_is_told(
    alone: Cron, options: list[str], said: str
) -> None:
    done = alone.exec("backup", options, "touch", "ran")

    assert (done.code, said in done.stderr) == (2, True), done.stderr
    assert not (alone.folder / "ran").exists()


def test_the_last_attempt_is_reported_as_the_last(daemon: Daemon, cron: Cron) -> None:
    """Where no other follows, whatever --retries says, the daemon judges at once."""
    daemon.start()
    retries = ["--retries", "5", "--partial-exit", "3"]

    cron.exec("absent", retries, "no-such-command")
    cron.exec("partial", retries, "sh", "-c", "exit 3")
    lost = cron.line("exec", "lost", "--retries", "5", "--", "echo", "x")
    cron.exec("outer", [], "sh", "-c", f"{lost} > /dev/full")

    for job in ("absent", "partial", "lost"):
        run = only_run(daemon, job)
        assert (run["attempt"], run["max_attempts"]) == (1, 1)
        assert daemon.get(f"/api/v1/jobs/{job}").json()["state"] == "failing"


PIPES = [
    (("sh", "-c", "exit 3 | cat"), "ok"),
    (("bash", "-o", "pipefail", "-c", "exit 3 | cat"), "fail"),
]


@pytest.mark.parametrize(("command", "outcome"), PIPES)
def test_a_pipe_hides_a_failure_without_pipefail(
    alone: Cron, command: tuple[str, ...], outcome: str
) -> None:
    """As exec --help says."""
    alone.exec("backup", ["--patience", "1ms"], *command)

    assert [run["status"] for run in alone.kept()] == [outcome]
    assert "bash -o pipefail -c" in alone.run("exec", "--help").stdout.decode()


def test_a_ping_reports_the_worse_of_its_words(daemon: Daemon, cron: Cron) -> None:
    daemon.start()
    arguments: list[tuple[list[str], dict[str, Any]]] = [
        (["--status", "ok", "--exit-code", "3"], {"outcome": "fail", "exit_code": 3}),
        (["--status", "SUCCESS", "--exit-code", "1"], {"outcome": "fail"}),
        (["--status", "ok", "--exit-code", "0"], {"outcome": "ok"}),
    ]
    for words, expected in arguments:
        done = cron.run("ping", "backup", *words)

        run = runs(daemon, "backup")[-1]
        assert {**run, **expected} == run
        assert ("contradicts exit code" in done.stderr) == (run["outcome"] == "fail")
