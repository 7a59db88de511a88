"""The output of a command under `afterrun exec`, and the metrics in it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.e2e.client.conftest import Cron
from tests.e2e.client.records import only_run
from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE


def test_output_is_passed_on_byte_by_byte(daemon: Daemon, cron: Cron) -> None:
    """Whatever is in it, and all of it; the message has what UTF-8 has."""
    daemon.start()
    data = os.urandom(3_000_000)
    (cron.folder / "data").write_bytes(data)

    # Through two pipes, what comes a moment later may be seen before.
    script = "cat data; until [ -e end ]; do sleep 0.1; done; printf '\\377end' >&2"
    running = cron.start("exec", "backup", "--", "sh", "-c", script)
    assert running.stdout is not None
    assert running.stderr is not None
    passed = running.stdout.read(len(data))
    cron.finish_command()

    assert passed + running.stdout.read() == data
    assert running.stderr.read() == b"\377end"
    assert running.wait(PATIENCE) == 0
    assert only_run(daemon, "backup")["message"].endswith("�end")


def test_lines_that_go_to_the_same_place_keep_their_order(
    daemon: Daemon, cron: Cron
) -> None:
    """As in cron's mail."""
    daemon.start()
    script = "for i in $(seq 200); do echo out $i; echo err $i >&2; done"
    running = cron.folder / "both"
    with running.open("wb") as both:
        subprocess.run(
            cron.command("exec", "backup", "--", "sh", "-c", script),
            stdout=both,
            stderr=both,
            env=cron.environ,
            check=True,
        )

    lines = running.read_text().splitlines()
    assert lines == [f"{way} {i}" for i in range(1, 201) for way in ("out", "err")]


def test_much_output_needs_little_memory(daemon: Daemon, cron: Cron) -> None:
    daemon.start()
    running = cron.start("exec", "backup", "--", "head", "-c", "300M", "/dev/zero")
    assert running.stdout is not None
    passed = peak = 0
    while piece := running.stdout.read(2**20):
        passed += len(piece)
        # What wait4() tells is at least what the tests themselves had taken.
        peak = max(peak, _most_memory(running.pid))

    assert (running.wait(), passed) == (0, 300 * 2**20)
    assert 0 < peak < 100 * 2**20


def _most_memory(pid: int) -> int:
    """Return the bytes that a process had in memory at most; 0 once it has ended."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def test_the_message_has_the_last_lines(daemon: Daemon, cron: Cron) -> None:
    daemon.start()

    cron.exec("some", ["--tail", "2"], "seq", "1000")
    cron.exec("none", ["--tail", "0"], "seq", "1000")
    cron.exec("usual", [], "seq", "1000")

    assert only_run(daemon, "some")["message"] == "999\n1000"
    assert only_run(daemon, "none")["message"] == ""
    assert only_run(daemon, "usual")["message"].splitlines()[0] == "951"


def test_without_capture_the_command_has_our_own_output(
    daemon: Daemon, cron: Cron
) -> None:
    daemon.start()

    done = cron.exec("backup", ["--no-capture"], "sh", "-c", "echo afterrun: rows=1")

    run = only_run(daemon, "backup")
    assert done.stdout == b"afterrun: rows=1\n"
    assert (run["message"], run["metrics"]) == ("", {})


def test_metrics_come_from_options_from_a_file_and_from_the_output(
    daemon: Daemon, cron: Cron
) -> None:
    daemon.start()
    command = (
        "echo working; echo 'afterrun: rows_processed=42 bytes=1e3'; "
        """echo '{"files": 7}' > metrics.json; echo 'afterrun: skipped=2'"""
    )

    options = ["--metric", "cost=0.5", "--metrics-file", "metrics.json"]
    done = cron.exec("backup", options, "sh", "-c", command)

    found = only_run(daemon, "backup")["metrics"]
    printed = {"rows_processed": 42, "bytes": 1000, "skipped": 2}
    assert found == {**printed, "files": 7, "cost": 0.5}
    assert b"afterrun: rows_processed=42" in done.stdout


def test_bad_metrics_are_told_and_cost_nothing_else(daemon: Daemon, cron: Cron) -> None:
    daemon.start()

    options = ["--metric", "cost=dear", "--metrics-file", "none.json"]
    done = cron.exec("backup", options, "echo", "afterrun: rows=many left=1")

    assert done.code == 0
    assert done.stderr.splitlines() == [
        "afterrun: metric rows='many' is not a number",
        "afterrun: --metrics-file 'none.json': No such file or directory",
        "afterrun: metric cost='dear' is not a number",
    ]
    assert only_run(daemon, "backup")["metrics"] == {"left": 1}
