"""The spool: what is in it stays until the daemon has it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.client.daemon import NotDeliveredError
from afterrun_exporter.client.flush import FlushResult, flush
from afterrun_exporter.client.spool import Entry, Spool
from tests.client.doubles import REFUSED, URL, MemoryDaemon, silent, spooled, told
from tests.examples import examples


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", silent)


def put(spool: Spool, *run_ids: str, status: str = "ok", url: str = URL) -> None:
    """Leave reports in the spool."""
    for run_id in run_ids:
        spool.put(url, told(run_id, status)).release()


def waiting(spool: Spool) -> list[str]:
    """Return the runs whose reports wait, the oldest first."""
    return [report.fields["run_id"] for _, _, report in spooled(spool)]


def deliver(spool: Spool, daemon: MemoryDaemon) -> FlushResult:
    return flush(spool, daemon, lambda: 1.0, silent)


def test_what_is_put_is_there_for_everybody(spool: Spool) -> None:
    """A process that knows nothing of the first one finds it."""
    put(spool, "a", "b", "c")

    assert waiting(Spool(spool.folder, silent)) == ["a", "b", "c"]


def test_reports_are_delivered_in_their_order(spool: Spool) -> None:
    put(spool, *(str(n) for n in range(250)))
    daemon = MemoryDaemon()

    assert deliver(spool, daemon) == FlushResult(delivered=250)
    assert daemon.runs == [str(n) for n in range(250)]
    assert spool.names() == []


def test_what_somebody_is_busy_with_is_left_to_them(spool: Spool) -> None:
    daemon = MemoryDaemon()
    mine = spool.put(URL, told("mine"))
    put(spool, "free")

    assert deliver(Spool(spool.folder, silent), daemon) == FlushResult(delivered=1)
    assert daemon.runs == ["free"]
    mine.release()
    assert deliver(spool, daemon) == FlushResult(delivered=1)


def test_a_daemon_that_is_down_gets_it_later(spool: Spool) -> None:
    put(spool, "a")
    daemon = MemoryDaemon(up=False)

    with pytest.raises(NotDeliveredError):
        deliver(spool, daemon)
    daemon.up = True

    assert deliver(spool, daemon) == FlushResult(delivered=1)


def test_a_refused_report_is_put_aside(spool: Spool) -> None:
    """The others are delivered, the later ones too."""
    put(spool, "a")
    spool.put(URL, told("bad", job=REFUSED)).release()
    put(spool, "b")

    assert deliver(spool, MemoryDaemon()) == FlushResult(delivered=2, rejected=1)
    assert len(list((spool.folder / "rejected").iterdir())) == 1


def test_a_file_that_is_no_report_is_put_aside(spool: Spool) -> None:
    put(spool, "a")
    (spool.folder / "0-broken-finish.json").write_bytes(b"\xff{")
    (spool.folder / "1-other-finish.json").write_text('{"url": "x"}\n[]')

    assert deliver(spool, MemoryDaemon()) == FlushResult(delivered=1, unreadable=2)
    assert spool.names() == []


def test_a_full_spool_gives_up_starts_first_and_then_the_oldest(tmp_path: Path) -> None:
    """And says so."""
    said: list[str] = []
    spool = Spool(tmp_path, said.append, max_reports=3)
    put(spool, "old")
    put(spool, "start", status="start")
    put(spool, "progress", status="progress")

    put(spool, "a")
    assert waiting(spool) == ["old", "progress", "a"]
    put(spool, "b")
    assert waiting(spool) == ["old", "a", "b"]
    put(spool, "c")
    assert waiting(spool) == ["a", "b", "c"]
    assert said == [f"the spool {tmp_path} is full: 1 old report was dropped"] * 3


def test_a_spool_is_bounded_in_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path, silent, max_bytes=1000)
    for number in range(50):
        put(spool, str(number))

    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1000
    assert waiting(spool)[-1] == "49"


def test_what_a_killed_writer_left_is_swept_away(spool: Spool) -> None:
    """Not at once: it may be somebody who writes."""
    put(spool, "a")
    for name, moment in ((".old", 0), (".new", 2e9 * 2)):
        (spool.folder / name).write_text("half a rep")
        os.utime(spool.folder / name, (moment, moment))

    spool.sweep()

    assert {file.name for file in spool.folder.iterdir()} > {".new"}
    assert not (spool.folder / ".old").exists()
    assert waiting(spool) == ["a"]


class World:
    """A spool, a daemon, and people who are busy with reports."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder, silent)
        self.daemon = MemoryDaemon()
        self.put_in: list[str] = []
        #: Flushes that reached the daemon, and did not hear of it.
        self.unanswered = 0
        self._busy: list[Entry] = []

    def put(self, job: str = "backup") -> None:
        run_id = str(len(self.put_in))
        self._busy.append(self.spool.put(URL, told(run_id, job=job)))
        self.put_in.append(run_id)

    def put_bad(self) -> None:
        self.put(REFUSED)

    def claim(self) -> None:
        claimed = [self.spool.claim(name) for name in self.spool.names()]
        self._busy += [entry for entry in claimed if entry is not None]

    def release(self) -> None:
        while self._busy:
            self._busy.pop().release()

    def flush(self) -> None:
        try:
            deliver(self.spool, self.daemon)
        except NotDeliveredError:
            self.unanswered += self.daemon.up

    def toggle_up(self) -> None:
        self.daemon.up = not self.daemon.up

    def toggle_answers(self) -> None:
        self.daemon.answers = not self.daemon.answers


STEPS = st.sampled_from(
    [
        *(World.put, World.put_bad, World.claim, World.release, World.flush),
        *(World.toggle_up, World.toggle_answers),
    ]
)


@settings(max_examples=examples(200))
@given(st.lists(STEPS, max_size=30))
def test_nothing_is_lost_and_nothing_is_sent_twice_that_was_answered(
    steps: list[Callable[[World], None]],
) -> None:
    """Whatever happens in whatever order, and whoever is busy with what."""
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        for step in steps:
            step(world)
        world.release()

        kept = waiting(world.spool)
        aside = list((world.spool.folder / "rejected").glob("*"))
        gone = set(world.put_in) - set(kept) - set(world.daemon.runs)
        assert len(gone) == len(aside)
        assert all(n <= 1 + world.unanswered for n in world.daemon.sent.values())
        assert sorted(kept, key=int) == kept
