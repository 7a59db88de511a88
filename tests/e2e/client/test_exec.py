"""`afterrun exec`: what is reported of a command, and that the command feels nothing."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.client.conftest import UNTIL_FINISHED, Cron
from tests.e2e.client.odd import odd, taking
from tests.e2e.client.records import only_run, runs
from tests.e2e.daemon.daemon import AFTERRUN, Daemon, wait_until
from tests.patience import PATIENCE, PATIENT


def script(cron: Cron, text: str, mode: int = 0o755) -> str:
    """Write a program; return its path."""
    path = cron.folder / "job"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return str(path)


def test_a_run_is_recorded_with_all_that_is_known_of_it(
    daemon: Daemon, cron: Cron
) -> None:
    """Its start and its end have one run id, so it is one run."""
    daemon.start()

    done = cron.exec(
        *("backup", ["--metadata", "team=data"]),
        *("sh", "-c", "echo out; sleep 0.3; echo bad >&2; exit 3"),
    )

    run = only_run(daemon, "backup")
    assert (done.code, done.stdout, done.stderr) == (3, b"out\n", "bad\n")
    assert (run["outcome"], run["exit_code"]) == ("fail", 3)
    # Through two pipes, what comes a moment later may be seen before.
    assert sorted(run["message"].splitlines()) == ["bad", "out"]
    assert 0.3 <= run["duration"] < 120
    assert len(run["run_id"]) == 36
    assert run["metadata"]["team"] == "data"
    assert run["metadata"]["host"] == os.uname().nodename
    assert run["metadata"]["command"].startswith("sh -c 'echo out;")
    assert daemon.get("/api/v1/jobs/backup").json()["running"] == 0
    assert not cron.waiting()


def test_a_run_is_announced_while_it_goes_on(daemon: Daemon, cron: Cron) -> None:
    """What never ends is known to have started."""
    daemon.start()
    running = cron.start("exec", "backup", "--", *UNTIL_FINISHED)

    wait_until(
        lambda: daemon.series().get(("afterrun_job_running", "backup")) == 1,
        "the start is reported",
    )

    running.terminate()
    assert running.wait(PATIENCE) == 128 + signal.SIGTERM
    assert only_run(daemon, "backup")["message"] == "killed by SIGTERM"


def test_the_exit_status_is_passed_on(daemon: Daemon, cron: Cron) -> None:
    daemon.start()

    for code in (0, 1, 2, 77, 255):
        job = f"ends-with-{code}"
        assert cron.exec(job, [], "sh", "-c", f"exit {code}").code == code
        assert only_run(daemon, job)["exit_code"] == code


def test_a_command_that_is_not_there_is_a_failure(daemon: Daemon, cron: Cron) -> None:
    """With the status and the words of a shell."""
    daemon.start()

    done = cron.exec("backup", ["--retries", "5"], "no-such-command", "-x")

    run = only_run(daemon, "backup")
    assert (done.code, done.stderr) == (
        127,
        "afterrun: no-such-command: command not found\n",
    )
    assert (run["outcome"], run["exit_code"]) == ("fail", 127)
    assert run["message"] == "no-such-command: command not found"


def test_a_file_that_is_no_program_is_a_failure(daemon: Daemon, cron: Cron) -> None:
    daemon.start()

    assert cron.exec("backup", [], script(cron, "exit 0", 0o644)).code == 126
    assert only_run(daemon, "backup")["exit_code"] == 126


def test_a_script_without_a_first_line_is_run_by_a_shell(
    daemon: Daemon, cron: Cron
) -> None:
    """As in a crontab."""
    daemon.start()

    assert cron.exec("backup", [], script(cron, 'exit "$1"\n'), "4").code == 4


def test_what_kills_a_command_is_named(daemon: Daemon, cron: Cron) -> None:
    daemon.start()

    done = cron.exec("backup", [], "sh", "-c", "echo last words; kill -9 $$")

    assert done.code == 128 + signal.SIGKILL
    assert only_run(daemon, "backup")["message"] == "last words\nkilled by SIGKILL"


def test_a_background_process_does_not_keep_it_from_ending(
    daemon: Daemon, cron: Cron
) -> None:
    """It holds the pipe open long after the command has ended."""
    daemon.start()

    done = cron.exec("backup", [], "sh", "-c", "sleep 600 & echo done; echo $!")

    said, process = done.stdout.split()
    # It is still there.
    os.kill(int(process), signal.SIGKILL)
    assert (done.code, said) == (0, b"done")


def test_a_run_that_takes_too_long_is_ended(daemon: Daemon, cron: Cron) -> None:
    """With all that it has started."""
    daemon.start()

    command = f"sleep {2 * PATIENCE} & sleep {2 * PATIENCE}; echo never"
    done = cron.exec("backup", ["--timeout", "2s"], "sh", "-c", command)

    run = only_run(daemon, "backup")
    assert (done.code, done.stdout) == (124, b"")
    assert (run["outcome"], run["exit_code"]) == ("timeout", 124)
    assert run["message"] == "timed out after 2 s"
    wait_until(lambda: not goes_on(run["run_id"]), "all that it started has ended")


def test_a_run_that_does_not_listen_is_killed(daemon: Daemon, cron: Cron) -> None:
    daemon.start()

    command = "trap '' TERM; while :; do sleep 0.1; done"
    options = ["--timeout", "2s", "--kill-after", "300ms"]
    done = cron.exec("backup", options, "sh", "-c", command)

    assert done.code == 124
    assert only_run(daemon, "backup")["outcome"] == "timeout"


def goes_on(run_id: str) -> bool:
    """Return whether a process of this run is left: each has its id."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"AFTERRUN_RUN_ID={run_id}".encode() in environ.read_bytes():
                return True
    return False


FAILS_TWICE = "#!/bin/sh\necho x >> tries; test $(wc -l < tries) -gt 2\n"


def test_a_run_that_fails_is_tried_again(daemon: Daemon, cron: Cron) -> None:
    """Each attempt is reported, and the last one counts."""
    daemon.start()

    options = ["--retries", "5", "--retry-delay", "10ms"]
    done = cron.exec("backup", options, script(cron, FAILS_TWICE))

    tried = runs(daemon, "backup")
    assert done.code == 0
    assert [run["outcome"] for run in tried] == ["fail", "fail", "ok"]
    assert [run["attempt"] for run in tried] == [1, 2, 3]
    assert {run["max_attempts"] for run in tried} == {6}
    assert len({run["run_id"] for run in tried}) == 1
    job = daemon.get("/api/v1/jobs/backup").json()
    assert (job["state"], job["consecutive_failures"], job["running"]) == ("ok", 0, 0)


def test_retries_come_to_an_end(daemon: Daemon, cron: Cron) -> None:
    daemon.start()

    options = ["--retries", "1", "--retry-delay", "10ms"]
    done = cron.exec("backup", options, "sh", "-c", "exit $AFTERRUN_ATTEMPT")

    assert done.code == 2
    assert [run["exit_code"] for run in runs(daemon, "backup")] == [1, 2]


def test_signals_are_passed_on(daemon: Daemon, cron: Cron) -> None:
    """The command decides what they mean, and its end is reported as ever."""
    daemon.start()
    names = ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2")
    command = (
        "trap 'echo heard; exit 9' {0}; : > {0}; while :; do sleep 0.1; done".format
    )
    started = {
        name: cron.start("exec", name, "--", "sh", "-c", command(name))
        for name in names
    }

    for name, running in started.items():
        wait_until((cron.folder / name).exists, "the command runs")
        running.send_signal(signal.Signals[f"SIG{name}"])
        out, _ = running.communicate(timeout=PATIENCE)
        assert (running.returncode, out) == (9, b"heard\n")
        assert only_run(daemon, name)["exit_code"] == 9


def test_a_terminal_reaches_the_command_itself(daemon: Daemon, cron: Cron) -> None:
    """It can read from it, and Ctrl-C is heard once and not twice."""
    daemon.start()
    command = (
        "trap 'echo x >> heard' INT; read line; echo $line > ready; "
        "until [ -e heard ]; do sleep 0.1; done; sleep 1"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cron.folder)
        words = ["afterrun", "exec", *PATIENT, "backup", "--", "sh", "-c", command]
        os.execve(AFTERRUN, words, cron.environ)  # noqa: S606
    os.write(terminal, b"hello\n")
    wait_until((cron.folder / "ready").exists, "the command has read a line")
    os.write(terminal, b"\x03")
    wait_until((cron.folder / "heard").exists, "the command has heard of it")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 0
    assert (cron.folder / "heard").read_text() == "x\n"
    assert only_run(daemon, "backup")["outcome"] == "ok"


def test_a_stop_ends_the_retries(daemon: Daemon, cron: Cron) -> None:
    daemon.start()
    options = ["--retries", "9", "--retry-delay", "1h"]
    running = cron.start("exec", "backup", *options, "--", "sh", "-c", "exit 5")
    # The second attempt is made at once, the third would be in an hour.
    wait_until(
        lambda: daemon.get("/api/v1/jobs/backup/runs").text.count('"outcome"') == 2,
        "two attempts are over",
    )

    running.terminate()

    assert running.wait(PATIENCE) == 5


def test_a_signal_that_is_ignored_stays_so(daemon: Daemon, cron: Cron) -> None:
    """That is what nohup is for."""
    daemon.start()
    job = ": > ready; until [ -e end ]; do sleep 0.1; done; sleep 1; echo ok"
    command = f"trap '' HUP; {cron.line('exec', 'backup', '--', 'sh', '-c', job)}"
    running = cron.start("exec", "outer", "--no-capture", "--", "sh", "-c", command)
    wait_until((cron.folder / "ready").exists, "the command runs")

    running.send_signal(signal.SIGHUP)
    cron.finish_command()
    out, _ = running.communicate(timeout=PATIENCE)

    assert b"ok" in out
    assert only_run(daemon, "backup")["outcome"] == "ok"


def test_signs_of_life_are_given(cron: Cron) -> None:
    """They bear the run's id, and no more come once it has ended."""
    with odd(taking) as server:
        options = ["--url", server.url, "--heartbeat", "100ms"]
        began = time.monotonic()
        running = cron.start("exec", "backup", *options, "--", *UNTIL_FINISHED)
        wait_until(lambda: len(server.reports) > 3, "three signs of life are given")
        cron.finish_command()
        running.communicate(timeout=PATIENCE)
        took = time.monotonic() - began
        told = [one["status"] for one in server.reports]
        ids = {one["run_id"] for one in server.reports}
        announced = [one.get("heartbeat_seconds") for one in server.reports]

    assert (told[0], told[-1]) == ("start", "ok")
    assert announced == [10.0] * (len(told) - 1) + [None]
    assert 3 <= told.count("progress") <= took / 0.1
    assert len(ids) == 1


def test_an_exec_that_is_killed_is_missed_by_its_signs_of_life(
    daemon: Daemon, cron: Cron
) -> None:
    """Nothing is configured: it has announced them."""
    daemon.start()
    options = ["--heartbeat", "1s"]
    running = cron.start("exec", "backup", *options, "--", *UNTIL_FINISHED)
    wait_until(
        lambda: daemon.get("/metrics").text.count('running{job_name="backup"} 1') == 1,
        "it runs",
    )

    running.kill()

    def alerts() -> list[str]:
        job = daemon.get("/api/v1/jobs/backup").json()
        return [alert["kind"] for alert in job["alerts"]]

    wait_until(lambda: bool(alerts()), "it is missed")
    assert alerts() == ["overrunning"]


def test_the_token_is_sent(cron: Cron) -> None:
    (cron.folder / "token").write_text("secret\n")
    with odd(taking) as server:
        where = ["--url", server.url]
        cron.exec("a", [*where, "--token-file", "token"], "true")
        cron.run("ping", "b", *where, environ={"AFTERRUN_TOKEN": "other"})
        done = cron.exec("c", [*where, "--token-file", "none"], "true")
        sent = [headers.get("Authorization") for _, headers, _ in server.seen]

    assert sent == ["Bearer secret", "Bearer secret", "Bearer other", None, None]
    assert done.code == 0
    assert "cannot read --token-file 'none'" in done.stderr


def test_the_commit_of_the_working_directory_is_reported(
    daemon: Daemon, cron: Cron
) -> None:
    daemon.start()
    sha = "0123456789abcdef0123456789abcdef01234567"
    (cron.folder / ".git").mkdir()
    (cron.folder / ".git/HEAD").write_text(f"{sha}\n")

    cron.exec("backup", [], "true")

    assert only_run(daemon, "backup")["metadata"]["git_sha"] == sha


def test_the_command_knows_its_run(daemon: Daemon, cron: Cron) -> None:
    """So it can report more about it itself."""
    daemon.start()
    warn = 'printf \'{"id": "%s", "job": "%s"}\' "$AFTERRUN_RUN_ID" "$AFTERRUN_JOB"'

    done = cron.exec("backup", ["--run-id", "mine"], "sh", "-c", warn)

    assert json.loads(done.stdout) == {"id": "mine", "job": "backup"}
    assert only_run(daemon, "backup")["run_id"] == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["backup", "ls"], "put -- before the command"),
        (["backup", "--"], "no command after --"),
        (["backup", "--timeot", "5s", "--", "ls"], "No such option: --timeot"),
        (["backup", "--timeout", "5", "--", "ls"], "'5' is not a duration; write it"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    cron: Cron, arguments: list[str], said: str
) -> None:
    done = cron.run("exec", *arguments)

    assert done.code == 2
    assert said in done.stderr


BROKEN = """
import os
from afterrun_exporter.client.execute import ExecOptions, execute, to_stderr
options = ExecOptions(job="backup", command=["sh", "-c", "echo ran; exit 7"])
raise SystemExit(execute(options, None, os.environ, to_stderr))
"""


def test_a_mistake_of_ours_costs_the_job_nothing(cron: Cron) -> None:
    """Here there is no sender of reports at all."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN],
        capture_output=True,
        check=False,
        env=cron.environ,
        timeout=PATIENCE,
    )

    assert (done.returncode, done.stdout) == (7, b"ran\n")
    assert b"afterrun: a report was lost: AttributeError" in done.stderr


def test_nothing_else_is_loaded(cron: Cron) -> None:
    """What takes long to import would make every job wait."""
    environ = {"PYTHONPROFILEIMPORTTIME": "1"}
    done = cron.run("exec", "x", "--patience", "1s", "--", "true", environ=environ)

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "afterrun_exporter.client.execute" in loaded
    heavy = {"click", "aiohttp", "asyncio", "msgspec", "pydantic", "importlib.metadata"}
    assert not loaded & heavy
