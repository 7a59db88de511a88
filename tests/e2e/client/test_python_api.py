"""`afterrun_exporter.client`: Python jobs report themselves."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter.client import aping, job, ping, python_api, run
from afterrun_exporter.client.settings import Settings
from tests.e2e.client.odd import Handler, odd, taking
from tests.e2e.client.records import only_run, runs
from tests.e2e.daemon.daemon import Daemon, wait_until
from tests.patience import PATIENCE


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, daemon: Daemon
) -> Iterator[None]:
    """Jobs that report to the daemon, with the patience of tests."""

    def patient(*, patience: float, **more: Any) -> Settings:
        is_default = patience == python_api.PATIENCE
        more |= {"request_timeout": PATIENCE}
        return Settings(patience=PATIENCE if is_default else patience, **more)

    monkeypatch.setattr(python_api, "Settings", patient)
    monkeypatch.setenv("AFTERRUN_URL", daemon.url)
    monkeypatch.setenv("AFTERRUN_SPOOL", str(tmp_path / "spool"))
    return iter([None])


def test_a_block_is_a_run(daemon: Daemon) -> None:
    daemon.start()

    with run("import", metadata={"team": "data"}) as r:
        r.metric("rows", 42)
        r.message("all of them")
        time.sleep(0.2)

    recorded = only_run(daemon, "import")
    assert (recorded["outcome"], recorded["metrics"]) == ("ok", {"rows": 42})
    assert recorded["message"] == "all of them"
    assert recorded["metadata"]["team"] == "data"
    assert 0.2 <= recorded["duration"] < 120
    assert r.verdict is not None
    assert r.verdict["outcome"] == "ok"


def test_an_exception_is_a_failure_and_goes_on(daemon: Daemon) -> None:
    daemon.start()

    def read() -> None:
        with run("import") as r:
            r.message("reading")
            raise ValueError("no rows")

    with pytest.raises(ValueError, match="no rows"):
        read()

    recorded = only_run(daemon, "import")
    assert recorded["outcome"] == "fail"
    assert recorded["message"].startswith("reading\nTraceback ")
    assert recorded["message"].endswith("ValueError: no rows")


def test_leaving_the_program_is_an_exit(daemon: Daemon) -> None:
    daemon.start()

    for code, outcome, status in ((0, "ok", 0), (None, "ok", 0), (3, "fail", 3)):
        job = f"leaves-with-{code}"
        with pytest.raises(SystemExit), run(job):
            sys.exit(code)
        recorded = only_run(daemon, job)
        assert (recorded["outcome"], recorded["exit_code"]) == (outcome, status)


def test_a_job_may_say_itself_that_it_failed(daemon: Daemon) -> None:
    daemon.start()

    with run("import") as r:
        r.fail("3 of 4 files", status="partial")

    recorded = only_run(daemon, "import")
    assert (recorded["outcome"], recorded["message"]) == ("partial", "3 of 4 files")


async def test_a_coroutine_is_a_run_and_holds_up_nobody() -> None:
    """The loop goes on while each report is on its way."""
    loop = asyncio.get_running_loop()

    def answer_once_the_loop_goes_on(handler: Handler, body: bytes) -> bool:
        goes_on = threading.Event()
        loop.call_soon_threadsafe(goes_on.set)
        return goes_on.wait(PATIENCE) and taking(handler, body)

    with odd(answer_once_the_loop_goes_on) as server:
        async with run("import", url=server.url) as r:
            r.metric("rows", 1)

    assert r.verdict is not None


async def test_functions_of_both_kinds_are_jobs(daemon: Daemon) -> None:
    daemon.start()

    @job("double")
    def double(number: int) -> int:
        return 2 * number

    @job("halve")
    async def halve(number: int) -> int:
        return number // 2

    assert await asyncio.to_thread(double, 4) == 8
    assert await halve(4) == 2
    with pytest.raises(TypeError):
        await asyncio.to_thread(double, None)  # type: ignore[arg-type]
    assert double.__name__ == "double"
    assert [one["outcome"] for one in runs(daemon, "double")] == ["ok", "fail"]
    assert only_run(daemon, "halve")["outcome"] == "ok"


async def test_a_ping_returns_the_verdict(daemon: Daemon) -> None:
    daemon.start()

    first = ping("backup", metrics={"rows": 3}, duration=1.5)
    second = await aping("backup", "fail", message="disk full")

    assert first is not None
    assert first["outcome"] == "ok"
    assert second is not None
    assert second["outcome"] == "fail"


def test_what_cannot_be_delivered_comes_with_the_next_run(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "afterrun"), run("import", patience=0.3):
        pass
    said = caplog.text
    # Until then it holds on to its report.
    wait_until(lambda: not sending(), "the first run has given up")
    daemon.start()
    with run("import"):
        pass

    assert "waits in" in said
    assert [one["outcome"] for one in runs(daemon, "import")] == ["ok", "ok"]


def sending() -> bool:
    """Return whether reports of a run of this process are still being sent."""
    return any(thread.name == "reports" for thread in threading.enumerate())


def test_nothing_of_ours_is_raised(tmp_path: Path) -> None:
    """Neither for a bad metric nor for a folder that is a file."""
    (tmp_path / "file").write_text("")
    bad: object = "many"

    with run("import", spool=tmp_path / "file", url="nowhere", patience=0.2) as r:
        r.metric("rows", bad)  # type: ignore[arg-type]
        r.metadata("odd", object())
        r.progress()

    assert ping("x", spool=tmp_path / "file", url="\n", patience=0.2) is None
