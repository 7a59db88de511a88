"""Many receivers are added and removed by few changes of the file, not by one each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from afterrun_exporter.alertmanager.loaded_file import Applied
from afterrun_exporter.alertmanager.managed_file import ManagedFile
from afterrun_exporter.alertmanager.receivers import FEW, Receivers
from afterrun_exporter.alertmanager.shared_reload import EVERY, RETRY
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.errors import (
    AlertmanagerError,
    AlertmanagerRefusedError,
    UnknownReceiverError,
)
from afterrun_exporter.rulegen.render import HEADER
from tests.fakes import ManualClock, MemoryStore

RELOAD = "http://localhost:9093/-/reload"
#: No Alertmanager accepts a file with this target.
BAD = "https://bad.example/"


class Alertmanager:
    """An Alertmanager that reads the file, and how often it did."""

    def __init__(self, file: Path) -> None:
        self.reads = 0
        self.is_reading = asyncio.Event()
        self.is_up = True
        #: Reading waits for this.
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._file = file

    async def reload(self, _: str) -> None:
        self.reads += 1
        self.is_reading.set()
        await self.may_read.wait()
        if not self.is_up:
            raise AlertmanagerError("connection refused")
        if BAD in self._file.read_text():
            raise AlertmanagerRefusedError("unsupported target")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "alertmanager.yml"
    path.write_text(HEADER)
    return path


@pytest.fixture
def alertmanager(file: Path) -> Alertmanager:
    return Alertmanager(file)


@pytest.fixture
def announced() -> list[frozenset[str] | None]:
    """The jobs whose announcements were brought up to date, change by change."""
    return []


@pytest.fixture
def receivers(
    store: MemoryStore,
    alertmanager: Alertmanager,
    file: Path,
    announced: list[frozenset[str] | None],
    clock: ManualClock,
) -> Receivers:
    async def announce(_: frozenset[str], among: frozenset[str] | None) -> None:
        announced.append(among)

    async def is_loaded(_: ManagedFile) -> bool:
        return False

    kept = Receivers(store, alertmanager.reload, announce, is_loaded, clock)
    kept.manage(ManagedFile(file, RELOAD, listing))
    return kept


def listing(receivers: Sequence[JobReceiver]) -> Mapping[Path, str]:
    names = "".join(f"{one.target}\n" for one in receivers)
    return {Path("alertmanager.yml"): HEADER + names}


def text(file: Path) -> str:
    return file.read_text()


def receiver(target: str, job: str = "backup") -> JobReceiver:
    return JobReceiver(job=job, type=ReceiverType.SLACK, target=target)


def many(count: int) -> list[JobReceiver]:
    return [receiver(f"https://{n}.example/", f"job-{n}") for n in range(count)]


async def add_all(
    receivers: Receivers, added: Sequence[JobReceiver]
) -> list[JobReceiver | BaseException]:
    results = await asyncio.gather(
        *(receivers.add(one) for one in added), return_exceptions=True
    )
    return [one if isinstance(one, BaseException) else one[0] for one in results]


@pytest.mark.parametrize("count", [100, 1000])
async def test_receivers_that_are_added_at_once_are_one_change(
    receivers: Receivers, alertmanager: Alertmanager, file: Path, count: int
) -> None:
    """The work of each change grows with all receivers; so the changes must not."""
    added = await add_all(receivers, many(count))

    assert [one.id for one in added if isinstance(one, JobReceiver)] == [
        *range(1, count + 1)
    ]
    assert text(file).count(".example") == count
    assert alertmanager.reads == 1


async def test_receivers_that_arrive_during_a_change_share_the_next_one(
    receivers: Receivers, alertmanager: Alertmanager
) -> None:
    first, *others = many(50)
    alertmanager.may_read.clear()
    begun = asyncio.create_task(receivers.add(first))
    await alertmanager.is_reading.wait()
    waiting = asyncio.create_task(add_all(receivers, others))
    await yield_to_loop()
    alertmanager.may_read.set()
    await asyncio.gather(begun, waiting)

    assert alertmanager.reads == 2


async def test_only_the_receiver_that_is_refused_is_not_added(
    receivers: Receivers, store: MemoryStore, file: Path
) -> None:
    wanted = [*many(3), receiver(BAD), receiver("https://last.example/")]

    results = await add_all(receivers, wanted)

    refused = [one for one in results if isinstance(one, AlertmanagerRefusedError)]
    assert (len(results), refused) == (5, [results[3]])
    stored = [one.target for one in await store.receivers()]
    assert stored == [one.target for one in wanted if one.target != BAD]
    assert BAD not in text(file)


async def test_an_alertmanager_that_does_not_answer_is_not_asked_for_each(
    receivers: Receivers, alertmanager: Alertmanager, store: MemoryStore
) -> None:
    """Each time takes ten seconds."""
    alertmanager.is_up = False

    results = await add_all(receivers, many(20))

    assert all(isinstance(one, AlertmanagerError) for one in results)
    assert await store.receivers() == []
    # The new file, and the old one again.
    assert alertmanager.reads == 2


async def test_receivers_that_are_removed_at_once_are_one_change(
    receivers: Receivers, alertmanager: Alertmanager, store: MemoryStore
) -> None:
    """An id that no receiver has is the only one that is answered so."""
    await add_all(receivers, many(30))
    alertmanager.reads = 0

    results = await asyncio.gather(
        *(receivers.remove(number) for number in (*range(1, 30), 99)),
        return_exceptions=True,
    )

    assert isinstance(results[-1], UnknownReceiverError)
    assert [one for one in results[:-1] if isinstance(one, BaseException)] == []
    assert [one.id for one in await store.receivers()] == [30]
    assert alertmanager.reads == 1


async def test_a_client_that_disconnects_harms_no_other(
    receivers: Receivers, alertmanager: Alertmanager, store: MemoryStore
) -> None:
    """What has begun goes on; what has not is dropped."""
    first, second, third = many(3)
    alertmanager.may_read.clear()
    begun = asyncio.create_task(receivers.add(first))
    await alertmanager.is_reading.wait()
    waiting = [asyncio.create_task(receivers.add(one)) for one in (second, third)]
    await yield_to_loop()
    begun.cancel()
    waiting[0].cancel()
    alertmanager.may_read.set()
    await waiting[1]

    stored = [one.job for one in await store.receivers()]
    assert stored == [first.job, third.job]


async def test_only_the_jobs_of_a_change_are_looked_at(
    receivers: Receivers, announced: list[frozenset[str] | None]
) -> None:
    """There may be 100,000 others."""
    added, _ = await receivers.add(receiver("https://a.example/", "nightly"))
    await receivers.remove(added.id)

    assert announced == [frozenset({"nightly"})] * 2


class TestOneAfterTheOther:
    """With many receivers, changes soon after a reload share the next one."""

    @pytest.fixture(autouse=True)
    async def _many(self, receivers: Receivers, alertmanager: Alertmanager) -> None:
        await add_all(receivers, many(FEW))
        alertmanager.reads = 0

    async def test_receivers_are_in_the_file_at_once_and_loaded_together(
        self,
        receivers: Receivers,
        alertmanager: Alertmanager,
        store: MemoryStore,
        file: Path,
        clock: ManualClock,
    ) -> None:
        """A reload for each would take half an hour for 2,000 receivers."""
        for number in range(50):
            _, applied = await receivers.add(receiver(f"https://new/{number}"))
            assert applied is Applied.RELOADING
            assert f"https://new/{number}\n" in text(file)
        assert alertmanager.reads == 0
        assert len(await store.receivers()) == FEW + 50

        await clock.advance(EVERY)

        assert alertmanager.reads == 1
        await clock.advance(10 * EVERY)
        assert alertmanager.reads == 1

    async def test_stored_receivers_are_read_once(
        self, receivers: Receivers, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Reading 2,000 of them for each change would hold the event loop."""
        monkeypatch.setattr(store, "receivers", None)

        added, _ = await receivers.add(receiver("https://new/"))
        await receivers.remove(added.id)

    async def test_receivers_are_removed_in_the_same_way(
        self,
        receivers: Receivers,
        alertmanager: Alertmanager,
        file: Path,
        clock: ManualClock,
    ) -> None:
        added = [(await receivers.add(receiver(f"https://new/{n}")))[0] for n in "abc"]
        await clock.advance(EVERY)
        alertmanager.reads = 0

        results = [await receivers.remove(one.id) for one in added[:2]]
        await clock.advance(EVERY)

        assert results == [Applied.RELOADING] * 2
        assert text(file).split("https://new/")[1:] == ["c\n"]
        assert alertmanager.reads == 1

    @pytest.mark.parametrize(
        "target", ["https://new/%zz", "https://[::1]/", "https://new/?key=1"]
    )
    async def test_a_target_that_alertmanager_may_refuse_is_loaded_at_once(
        self, receivers: Receivers, alertmanager: Alertmanager, target: str
    ) -> None:
        """Nothing is added that is refused: so it is loaded before the response."""
        webhook = JobReceiver(job="backup", type=ReceiverType.WEBHOOK, target=target)

        _, applied = await receivers.add(webhook)

        assert (applied, alertmanager.reads) == (Applied.RELOADED, 1)

    async def test_a_single_receiver_is_loaded_at_once(
        self, receivers: Receivers, alertmanager: Alertmanager, clock: ManualClock
    ) -> None:
        await clock.advance(EVERY)

        _, applied = await receivers.add(receiver("https://new/"))

        assert (applied, alertmanager.reads) == (Applied.RELOADED, 1)

    async def test_a_refusal_for_another_reason_loses_no_receiver(
        self,
        receivers: Receivers,
        store: MemoryStore,
        file: Path,
        clock: ManualClock,
    ) -> None:
        """The last file that was loaded is restored; the next change writes them again."""
        loaded = text(file)
        # A real Alertmanager refuses no Slack receiver; this one does.
        bad, applied = await receivers.add(receiver(BAD))
        assert applied is Applied.RELOADING
        await clock.advance(EVERY)

        assert (text(file), receivers.file_ok) == (loaded, False)
        assert bad in await store.receivers()
        with pytest.raises(AlertmanagerRefusedError):
            await receivers.add(receiver("https://new/"))
        assert text(file) == loaded

        await receivers.remove(bad.id)
        _, applied = await receivers.add(receiver("https://new/"))
        assert receivers.file_ok
        assert text(file) == f"{loaded}https://new/\n"

    async def test_a_reload_is_repeated_until_alertmanager_responds(
        self, receivers: Receivers, alertmanager: Alertmanager, clock: ManualClock
    ) -> None:
        """Meanwhile no other receiver is added."""
        await receivers.add(receiver("https://new/1"))
        alertmanager.is_up = False
        await clock.advance(EVERY)
        with pytest.raises(AlertmanagerError):
            await receivers.add(receiver("https://new/2"))
        alertmanager.is_up = True
        alertmanager.reads = 0

        await clock.advance(RETRY)
        await clock.advance(RETRY)

        assert alertmanager.reads == 1

    async def test_a_shutdown_loads_the_last_changes(
        self, receivers: Receivers, alertmanager: Alertmanager
    ) -> None:
        await receivers.add(receiver("https://new/"))

        await receivers.finish()
        await receivers.finish()

        assert alertmanager.reads == 1
