"""The sender of reports: delivered or kept, and never for long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from afterrun_exporter.client import clock
from afterrun_exporter.client.daemon import Answer
from afterrun_exporter.client.report_sender import QueuedReport, ReportSender
from afterrun_exporter.client.reports import Report
from afterrun_exporter.client.settings import Settings
from afterrun_exporter.client.spool import Spool
from tests.client.doubles import REFUSED, URL, MemoryDaemon, silent, spooled, told


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(url=URL, token="", spool=tmp_path / "spool", patience=0.3)


@pytest.fixture(autouse=True)
def _time_passes_with_each_look_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has to wait for a processor must not run out of its time."""
    looks = count()
    monkeypatch.setattr(clock, "stopwatch", lambda: 0.01 * next(looks))


def ended(sender: ReportSender, queued: QueuedReport) -> None:
    assert queued.finished.wait(300)
    sender.wait(queued)


def test_what_waits_is_delivered_before_what_is_new(settings: Settings) -> None:
    spool = Spool(settings.spool, silent)
    for run_id in ("a", "b"):
        spool.put(URL, told(run_id)).release()
    daemon = MemoryDaemon()
    sender = ReportSender(settings, silent, daemon)

    ended(sender, sender.finish(told("c")))

    assert daemon.runs == ["a", "b", "c"]
    assert spool.names() == []


def test_a_start_that_was_not_delivered_is_dropped_with_the_end(
    settings: Settings,
) -> None:
    """The end says when the run began."""
    sender = ReportSender(settings, silent, MemoryDaemon(up=False))
    started = sender.start(told("a", "start"))
    assert started.finished.wait(300)
    spool = Spool(settings.spool, silent)
    assert len(spool.names()) == 1

    ended(sender, sender.finish(told("a"), started))

    (name,) = spool.names()
    assert name.endswith("-finish.json")


@dataclass
class Watching(MemoryDaemon):
    """Takes nothing, and looks at what waits for it meanwhile."""

    spool: Spool | None = None
    #: The kinds of the reports that waited whenever an end was sent.
    seen: list[list[str]] = field(default_factory=list)

    def send(self, report: Report, timeout: float) -> Answer:
        assert self.spool is not None
        if report.kind == "finish":
            self.seen.append([one.kind for _, _, one in spooled(self.spool)])
        return super().send(report, timeout)


@pytest.mark.parametrize("over", [True, False])
def test_a_start_does_not_wait_beside_its_end(settings: Settings, over: bool) -> None:
    """Neither one that was put there before, nor one that fails later."""
    daemon = Watching(up=False, spool=Spool(settings.spool, silent))
    sender = ReportSender(settings, silent, daemon)
    started = sender.start(told("a", "start"))
    if over:
        assert started.finished.wait(300)

    ended(sender, sender.finish(told("a"), started))

    assert daemon.seen
    assert all(kinds == ["finish"] for kinds in daemon.seen)


def test_a_sign_of_life_is_not_kept(settings: Settings) -> None:
    sender = ReportSender(settings, silent, MemoryDaemon(up=False))

    sender.heartbeat(told("a", "progress"))
    ended(sender, sender.finish(told("a")))

    assert len(Spool(settings.spool, silent).names()) == 1


def test_a_refused_report_is_told_and_kept_aside(settings: Settings) -> None:
    said: list[str] = []
    sender = ReportSender(settings, said.append, MemoryDaemon())

    queued = sender.finish(told("a", job=REFUSED))
    ended(sender, queued)

    assert queued.refused
    assert len(said) == 1
    assert "the report of 'refused' was refused: no such job" in said[0]
    assert len(list((settings.spool / "rejected").iterdir())) == 1


def test_a_courier_that_is_closed_leaves_no_thread(settings: Settings) -> None:
    """A program that runs jobs for months must not collect them."""
    sender = ReportSender(settings, silent, MemoryDaemon())
    ended(sender, sender.finish(told("a")))
    assert sender._thread is not None

    sender.close()

    sender._thread.join(300)
    assert not sender._thread.is_alive()


def before_line(number: int, function: str, act: Callable[[], None]) -> Any:
    """Return a trace function that calls *act* before a line of *function*."""
    lines = count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_name != function:
            return None
        if event == "line" and next(lines) == number:
            act()
        return trace

    return trace


def test_a_signal_at_any_moment_of_a_report_makes_its_next_attempt_the_last(
    settings: Settings,
) -> None:
    """Signals come between any two lines."""
    for number in count():
        sender = ReportSender(settings, silent, MemoryDaemon(up=False))
        signals: list[int] = []

        def interrupt(sent: list[int] = signals, to: ReportSender = sender) -> None:
            sent.append(1)
            to.flush_now()

        before = sys.gettrace()
        sys.settrace(before_line(number, "_enqueue", interrupt))
        try:
            queued = sender.start(told("a", "start"))
        finally:
            sys.settrace(before)
        if not signals:
            break
        assert queued.last_attempt.is_set(), number
        assert queued.finished.wait(300)
    assert number > 5
