"""A spool with bad files, met by real processes."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from threading import Thread

import pytest

from tests.e2e.client.conftest import Cron, Done
from tests.e2e.client.records import only_run, total
from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE

#: Root reads everything, unless it may not.
UNPRIVILEGED = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


def without_rights(cron: Cron, *arguments: str) -> Done:
    """Run ``afterrun`` where permissions count, also for root."""
    before = UNPRIVILEGED if os.geteuid() == 0 else []
    done = subprocess.run(
        [*before, *cron.command(*arguments)],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        env=cron.environ,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def test_bad_files_block_no_report(daemon: Daemon, cron: Cron) -> None:
    """Of any kind; all of them are said and listed."""
    for job in ("a", "b"):
        cron.run("ping", job, "--patience", "1ms")
    forbidden = cron.spool / "0-finish.json"
    forbidden.write_bytes(cron.waiting()[0].read_bytes())
    forbidden.chmod(0)
    os.mkfifo(cron.spool / "1-finish.json")
    (cron.spool / "2-finish.json").mkdir()
    (cron.spool / "3-finish.json").symlink_to("nowhere")
    (cron.spool / "4-finish.json").touch()
    daemon.start()

    flushed = without_rights(cron, "spool", "flush")
    listed = without_rights(cron, "spool", "list")

    assert (flushed.code, flushed.stdout) == (1, b"2 reports delivered, 0 refused\n")
    denied = f"{forbidden} cannot be read and stays there: Permission denied"
    assert denied in flushed.stderr
    assert flushed.stderr.count("was moved to rejected/") == 4
    assert only_run(daemon, "a")["outcome"] == "ok"
    assert only_run(daemon, "b")["outcome"] == "ok"
    assert listed.code == 0
    assert listed.stdout.decode().splitlines() == [
        "0-finish.json  unreadable: Permission denied",
        "rejected/1-finish.json  unreadable: a FIFO",
        "rejected/2-finish.json  unreadable: a directory",
        "rejected/3-finish.json  unreadable: a symbolic link",
        "rejected/4-finish.json  unreadable: it is empty",
    ]

    # What was unreadable is delivered once it can be read.
    forbidden.chmod(0o600)
    assert cron.run("spool", "flush").code == 0


def test_a_job_delivers_beside_bad_files(daemon: Daemon, cron: Cron) -> None:
    """What waits and its own report; its status stays its own."""
    cron.run("ping", "old", "--patience", "1ms")
    os.mkfifo(cron.spool / "0-finish.json")
    daemon.start()

    done = cron.exec("new", [], "sh", "-c", "exit 5")

    assert done.code == 5
    assert done.stderr.count("is not a report (a FIFO) and was moved") == 1
    assert only_run(daemon, "old")["outcome"] == "ok"
    assert only_run(daemon, "new")["exit_code"] == 5


def test_flushes_at_once_put_aside_once(daemon: Daemon, cron: Cron) -> None:
    for number in range(10):
        cron.run("ping", f"job-{number}", "--patience", "1ms")
        (cron.spool / f"{number}-finish.json").write_text("cut")
    daemon.start()
    done: list[Done] = []

    flushes = [
        Thread(target=lambda: done.append(cron.run("spool", "flush"))) for _ in range(4)
    ]
    for one in flushes:
        one.start()
    for one in flushes:
        one.join()

    assert not cron.waiting()
    assert len(list((cron.spool / "rejected").iterdir())) == 10
    assert not [one.stderr for one in done if "Traceback" in one.stderr]
    for number in range(10):
        assert total(daemon, "runs", f"job-{number}") == 1
        assert total(daemon, "duplicate_pings", f"job-{number}") == 0


def test_a_refused_report_is_listed_with_the_reason(daemon: Daemon, cron: Cron) -> None:
    daemon.configure("unknown_jobs: reject\njobs: {backup: {}}\n")
    daemon.start()
    cron.run("ping", "bakcup")

    listed = cron.run("spool", "list").stdout.decode()

    assert listed.startswith("rejected/")
    assert "bakcup  ok  " in listed
    assert "unknown job 'bakcup'" in listed


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "> /dev/full"])
def test_a_ping_is_delivered_whatever_its_output_is(
    daemon: Daemon, cron: Cron, closed: str
) -> None:
    """No file or connection is taken for an output that is closed."""
    daemon.start()

    done = subprocess.run(
        ["sh", "-c", f"{cron.line('ping', 'backup')} {closed}"],
        env=cron.environ,
        check=False,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
    )

    assert done.returncode == 0
    assert only_run(daemon, "backup")["outcome"] == "ok"
    assert not cron.waiting()
    assert b"Traceback" not in done.stderr


def test_a_token_in_the_url_is_used(daemon: Daemon, cron: Cron) -> None:
    """And is in no file and no line."""
    digest = sha256(b"S3CRET").hexdigest()
    token = f'{{name: cron, hash: "sha256:{digest}", scopes: [ping]}}'
    daemon.configure(f"auth: {{tokens: [{token}]}}\n")
    cron.environ["AFTERRUN_URL"] = daemon.url.replace("//", "//any:S3CRET@")
    down = cron.run("ping", "backup", "--patience", "300ms")
    kept = b"".join(file.read_bytes() for file in cron.waiting())
    daemon.start()

    up = cron.run("spool", "flush")

    assert (up.code, up.stdout) == (0, b"1 report delivered, 0 refused\n")
    assert "S3CRET" not in down.stderr + up.stderr + kept.decode()
