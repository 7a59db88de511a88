"""The command sees the errors of the world as it would without `afterrun exec`."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.client.conftest import UNTIL_FINISHED, Cron
from tests.e2e.client.records import only_run, total
from tests.e2e.daemon.daemon import AFTERRUN, Daemon, wait_until
from tests.patience import PATIENCE

FULL = "cannot write the job's output: No space left on device"
GONE = "cannot write the job's output: Broken pipe"

ONCE = "echo once"
#: More than fits into pipes.
MUCH = "head -c 5000000 /dev/zero"
#: Notices nothing, and exits with 0.
FIRST = "exit ${PIPESTATUS[0]}"

#: Writes until it cannot, and exits with 0 all the same.
DEAF = "trap '' PIPE; while echo x 2>/dev/null; do sleep 0.2; done; exit 0"

#: Goes on once nothing reads the pipe any more.
UNREAD = "while (echo) 2>/dev/null; do sleep 0.1; done"


def shell(cron: Cron, line: str, **variables: str) -> tuple[int, str]:
    """Run a line of bash in which ``$X`` is exec; return its status and stderr."""
    words = f"{AFTERRUN} exec backup --patience 1ms"
    done = subprocess.run(
        ["bash", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        cwd=cron.folder,
        env={**cron.environ, "X": words, **variables},
        start_new_session=True,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("line", "status", "why"),
    [
        (f"$X -- sh -c '{ONCE}' > /dev/full", 74, FULL),
        (f"$X -- {MUCH} > /dev/full", 141, FULL),
        (f'$X -- sh -c "{DEAF}" > /dev/full', 74, FULL),
        # Mapped statuses say nothing of output that is lost.
        (f"$X --ok-exit 1-255 -- {MUCH} > /dev/full", 141, FULL),
        (f"$X --tail 0 -- sh -c '{ONCE}' > /dev/full", 74, FULL),
        # The same for both, which have one pipe.
        (f"$X -- sh -c '{ONCE} >&2' > /dev/full 2>&1", 74, FULL),
        ("$X -- sh -c 'echo once >&2' 2> /dev/full", 74, "error output: No space left"),
        (f"({UNREAD}; $X -- sh -c '{ONCE}'; exit $?) | true; {FIRST}", 141, GONE),
        (f"$X -- yes | head -1; {FIRST}", 141, GONE),
        (f'$X -- sh -c "{DEAF}" | head -1; {FIRST}', 141, GONE),
        # More than a file may have, which Python would not hear of either.
        (f"trap '' XFSZ; ulimit -f 100; $X -- {MUCH} > big", 141, "File too large"),
        # A descriptor that can only be read.
        (f"$X -- sh -c '{ONCE}' 1< /dev/null", 74, "Bad file descriptor"),
    ],
)
def test_output_that_is_lost_is_a_failure(
    alone: Cron, line: str, status: int, why: str
) -> None:
    """The command's own status is passed on, unless it is 0."""
    code, stderr = shell(alone, line)

    (run,) = alone.kept()
    assert (code, run["exit_code"], run["status"]) == (status, status, "fail")
    assert why in run["message"]
    # Where stderr is the full disk, there is no place to say it.
    assert why in stderr or "2>" in line


@pytest.mark.parametrize(
    "line",
    [
        "$X -- sh -c 'echo once' > /dev/null",
        "$X -- sh -c 'echo once; echo twice >&2' > file 2>> file",
        "$X -- seq 100000 | cat > /dev/null; exit ${PIPESTATUS[0]}",
        "$X -- seq 3 | head -1; exit ${PIPESTATUS[0]}",
        # It closes them itself, or writes nothing to what nobody reads.
        "$X -- sh -c 'exec >&- 2>&-; sleep 0.2'",
        f"({UNREAD}; $X -- true; exit $?) | true; {FIRST}",
        "$X -- true > /dev/full 2>&1",
    ],
)
def test_output_that_arrives_is_no_failure(alone: Cron, line: str) -> None:
    assert shell(alone, line)[0] == 0
    assert [run["status"] for run in alone.kept()] == ["ok"]


@pytest.mark.parametrize(
    "command",
    [
        "echo hi",
        "echo hi >&2",
        "cat",
        "ls /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2",
        "kill -TERM $$",
        "sh -c 'kill -PIPE $$'",
        "yes | head -1; exit ${PIPESTATUS[0]}",
    ],
)
@pytest.mark.parametrize(
    "closed", ["", ">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"]
)
def test_a_command_ends_as_without_us(alone: Cron, command: str, closed: str) -> None:
    """Whatever of its input and output is closed: it is closed for the command, too."""
    bare, _ = shell(alone, f'bash -c "$C" {closed}', C=command)

    code, _ = shell(alone, f'$X -- bash -c "$C" {closed}', C=command)

    (run,) = alone.kept()
    assert code == (bare if bare >= 0 else 128 - bare)
    assert (run["status"] == "ok") == (bare == 0)


SEEN = {
    "environment": "env | grep -v -e ^AFTERRUN_ -e ^_= -e ^SHLVL= | sort",
    "signals": "grep -e SigBlk -e SigIgn /proc/self/status",
    "limits": "ulimit -a; umask; nice; pwd; cat /proc/self/oom_score_adj",
    "session": "ps -o tty= -o ni= -p $$",
    "descriptors": "for n in 3 4 5 6 7; do readlink /proc/$$/fd/$n || echo closed; done",
    "what it reads": "cat",
}


@pytest.mark.parametrize("seen", SEEN)
def test_a_command_sees_what_it_would_see_without_us(alone: Cron, seen: str) -> None:
    """With the smallest environment, in which the interpreter adds to it."""
    ready = "umask 027; ulimit -c 0; ulimit -n 99; exec 5> kept 6< /dev/null; "
    run = f'{ready} echo in | nice env -i PATH="$PATH" HOME=/ ODD="$\'\\xff\'"'
    spool = "AFTERRUN_URL=http://127.0.0.1:9 AFTERRUN_SPOOL=$AFTERRUN_SPOOL"
    shell(alone, f'{run} bash -c "$C" > bare', C=SEEN[seen])

    shell(alone, f'{run} {spool} $X -- bash -c "$C" > ours', C=SEEN[seen])

    bare, ours = (
        (alone.folder / "bare").read_bytes(),
        (alone.folder / "ours").read_bytes(),
    )
    assert bare
    assert ours == bare


def test_a_failure_is_seen_where_the_ends_of_children_are_ignored(alone: Cron) -> None:
    """A supervisor that ignores SIGCHLD hands that on, and the system drops statuses."""
    ignore = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    start = f"python3 -c '{ignore}; os.execvp(sys.argv[1], sys.argv[1:])'"

    code, _ = shell(alone, f"{start} $X -- sh -c 'exit 7'")

    assert code == 7
    assert [run["exit_code"] for run in alone.kept()] == [7]


def test_a_lock_is_held_by_the_command(alone: Cron) -> None:
    """And by what it leaves running, as without us."""
    left = f"{shlex.join(UNTIL_FINISHED)} >/dev/null 2>&1 &"
    line = f"exec 9> lock; flock -n 9; $X -- sh -c {shlex.quote(left)}; exec 9>&-"

    code, _ = shell(alone, f"{line}; flock -n lock true")

    assert code == 1


def test_output_that_is_read_slowly_is_part_of_the_run(
    daemon: Daemon, cron: Cron
) -> None:
    """Its end is reported once all is read: the reader may still fail."""
    daemon.start()
    for job in ("read", "left"):
        running = cron.start("exec", job, "--", "head", "-c", "120000", "/dev/zero")
        _ended_unread(daemon, job, running.pid)
        assert total(daemon, "runs", job) == 0
        assert running.stdout is not None
        if job == "read":
            stdout, _ = running.communicate(timeout=PATIENCE)
            assert (running.returncode, stdout) == (0, bytes(120_000))
        else:
            running.stdout.close()
            assert running.wait(PATIENCE) == 141

    assert only_run(daemon, "read")["outcome"] == "ok"
    left = only_run(daemon, "left")
    assert (left["outcome"], left["exit_code"]) == ("fail", 141)
    assert GONE in left["message"]


def _ended_unread(daemon: Daemon, job: str, pid: int) -> None:
    """Return a moment after the command has ended; its start is recorded."""
    wait_until(
        lambda: daemon.series().get(("afterrun_job_running", job)) == 1,
        "the start is reported",
    )
    wait_until(lambda: not _children(pid), "the command has ended")
    time.sleep(0.5)


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8")


def test_a_reader_has_as_long_as_the_run(alone: Cron) -> None:
    command = ("head", "-c", "200000", "/dev/zero")
    # On a busy machine the command may be ended before it has written anything.
    for timeout in ("1s", "10s", "1m"):
        options = ["--patience", "1ms", "--timeout", timeout]
        running = alone.start("exec", "backup", *options, "--", *command)
        assert running.wait(PATIENCE) == 124
        assert running.stdout is not None
        if running.stdout.read():
            break

    run = alone.kept()[-1]
    assert run["status"] == "timeout"
    assert "not all of it was read within --timeout" in run["message"]


def test_a_signal_does_not_wait_for_a_reader(alone: Cron) -> None:
    command = ("head", "-c", "120000", "/dev/zero")
    running = alone.start("exec", "backup", "--patience", "1ms", "--", *command)
    wait_until(alone.keeps_the_start, "the command runs")
    wait_until(lambda: not _children(running.pid), "the command has ended")

    running.terminate()

    assert running.wait(PATIENCE) == 74
    (run,) = alone.kept()
    assert (run["status"], run["exit_code"]) == ("fail", 74)
    assert "not all of it was read when a signal ended the run" in run["message"]


def test_output_that_does_not_block_is_all_passed_on(alone: Cron) -> None:
    """Some programs leave their output so to all who share it."""
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    with os.fdopen(source, "rb") as opened:
        running = subprocess.Popen(
            [AFTERRUN, "exec", "x", "--patience", "1ms", "--", "seq", "100000"],
            stdout=sink,
            env=alone.environ,
        )
        os.close(sink)
        time.sleep(0.5)
        text = opened.read()

    assert running.wait(PATIENCE) == 0
    assert text == "".join(f"{n}\n" for n in range(1, 100_001)).encode()


def test_a_terminal_that_vanishes_is_an_error(alone: Cron) -> None:
    """To what ignores its hangup."""
    master, terminal = pty.openpty()
    loop = "trap '' HUP PIPE; : > ready; while echo x; do sleep 0.2; done; exit 0"
    start = 'trap "" HUP; exec afterrun exec x --patience 1ms -- sh -c "$0"'
    running = subprocess.Popen(
        ["sh", "-c", start, loop],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        cwd=alone.folder,
        env=alone.environ,
    )
    os.close(terminal)
    wait_until((alone.folder / "ready").exists, "the command runs")
    os.close(master)

    assert running.wait(PATIENCE) != 0
    (run,) = alone.kept()
    assert run["status"] == "fail"
    assert "cannot write the job's output: Input/output error" in run["message"]


def test_lost_output_is_not_tried_again(alone: Cron) -> None:
    """The disk is as full, and a half of the output is there already."""
    shell(alone, "$X --retries 3 --retry-delay 1ms -- echo x > /dev/full")

    assert [run["attempt"] for run in alone.kept()] == [1]


def test_a_limit_that_strikes_is_said(alone: Cron) -> None:
    # What exec ignores, the command ignores from its start.
    line = f"trap '' TERM; $X --timeout 300ms --kill-after 300ms -- sleep {PATIENCE}"

    code, stderr = shell(alone, line)

    assert code == 124
    assert stderr.splitlines()[:2] == [
        "afterrun: timed out after 0.3 s: sending SIGTERM",
        "afterrun: still running 0.3 s later: sending SIGKILL",
    ]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        ("true", "No such file or directory"),
        ("mkdir m", "Is a directory"),
        ("mkfifo m", "the file is empty"),
        ("ln -s /dev/zero m", "It is neither a file nor a pipe"),
        ("ln -s m m", "Too many levels of symbolic links"),
        ("head -c 2000000 /dev/zero > m", "It is longer than 1048576 bytes"),
        ("touch m", "the file is empty"),
        ("echo '{\"rows\": ' > m", "m: not a JSON object"),
        ('echo \'{"rows": "many"}\' > m', "metric rows='many' is not a number"),
        ("for i in $(seq 30); do echo x; done > m", "and 20 further bad metrics"),
    ],
)
def test_metrics_that_cannot_be_read_are_told(alone: Cron, make: str, why: str) -> None:
    """On stderr and in the report; the status stays the command's."""
    options = ["--patience", "1ms", "--metrics-file", "m", "--metric", "left=1"]

    done = alone.exec("backup", options, "sh", "-c", f"{make}; exit 4")

    (run,) = alone.kept()
    assert (done.code, run["exit_code"], run["metrics"]) == (4, 4, {"left": 1})
    assert why in done.stderr
    assert why in run["message"]


def test_metrics_that_come_through_a_pipe_are_read(alone: Cron) -> None:
    line = "$X --metrics-file <(echo rows=3) -- true"

    assert shell(alone, line)[0] == 0
    assert alone.kept()[0]["metrics"] == {"rows": 3}


def test_an_argument_that_is_no_text_is_reported(daemon: Daemon, cron: Cron) -> None:
    """Half a character in it must not cost the report."""
    daemon.start()
    odd = os.fsdecode(b"\xff")

    done = cron.exec("backup", ["--metadata", f"a={odd}"], "printf", odd)

    assert (done.code, done.stdout, done.stderr) == (0, b"\xff", "")
    assert only_run(daemon, "backup")["metadata"]["a"] == "?"


def test_a_spool_that_cannot_be_written_is_in_the_report(
    daemon: Daemon, cron: Cron
) -> None:
    """Though the report itself is delivered: the next one may need the spool."""
    daemon.start()
    cron.spool.write_text("in the way")

    done = cron.exec("backup", [], "true")

    why = f"cannot write to the spool {cron.spool}: File exists"
    assert done.code == 0
    assert sorted(done.stderr.splitlines()) == [
        f"afterrun: cannot read the spool {cron.spool}: Not a directory",
        f"afterrun: {why}",
    ]
    run = only_run(daemon, "backup")
    assert (run["outcome"], run["message"]) == ("ok", f"afterrun: {why}")


def test_the_token_is_kept_from_the_command(alone: Cron) -> None:
    secrets = {"TOKEN": "S3CRET", "URL": "http://any:S3CRET@127.0.0.1:9"}
    alone.environ |= {f"AFTERRUN_{name}": value for name, value in secrets.items()}

    kept = alone.exec("backup", ["--patience", "1ms"], "env")
    passed = alone.exec("backup", ["--patience", "1ms", "--pass-token"], "env")

    assert b"S3CRET" not in kept.stdout
    assert b"AFTERRUN_URL=http://127.0.0.1:9\n" in kept.stdout
    assert b"AFTERRUN_TOKEN=S3CRET\n" in passed.stdout
    assert b"AFTERRUN_URL=http://any:S3CRET@127.0.0.1:9\n" in passed.stdout
    for file in alone.spool.glob("*-start.json"):
        assert "S3CRET" not in file.read_text("utf-8")
    listed = alone.run("spool", "list")
    said = kept.stderr + passed.stderr + listed.stdout.decode() + listed.stderr
    assert "S3CRET" not in said


def test_signals_of_timers_are_passed_on(alone: Cron) -> None:
    """Of what would end exec and leave the command alone."""
    command = "trap 'exit 9' ALRM; : > ready; while :; do sleep 0.1; done"
    running = alone.start("exec", "x", "--patience", "1ms", "--", "sh", "-c", command)
    wait_until((alone.folder / "ready").exists, "the command runs")

    running.send_signal(signal.SIGALRM)

    assert running.wait(PATIENCE) == 9
    assert alone.kept()[0]["exit_code"] == 9
