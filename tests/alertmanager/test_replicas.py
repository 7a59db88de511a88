"""Of several replicas one posts alerts and keeps the file; the next one goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from afterrun_exporter.alertmanager.loaded_file import Applied
from afterrun_exporter.alertmanager.managed_file import ManagedFile
from afterrun_exporter.alertmanager.notifier import AlertNotifier
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.core.routing import Alertmanager as Configured
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.engine.leader_work import LeaderWork
from afterrun_exporter.engine.periodic import running
from afterrun_exporter.rulegen.render import HEADER
from tests.alertmanager.alertmanagers import Alertmanager, Alertmanagers
from tests.alertmanager.chain import calm
from tests.core.jobs import at
from tests.fakes import ManualClock
from tests.replicas import InMemory, Process, World
from tests.services import job_config

URL = "http://alertmanager:9093"
CONFIG = job_config(Job(name="one"), Job(name="two"))
ONE, TWO = "one warning", "two warning"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("21 12:00"))


@pytest.fixture
async def world(clock: ManualClock) -> AsyncIterator[World]:
    world = World(InMemory(clock), clock, CONFIG)
    for name in ("a", "b"):
        await world.start(name)
    yield world
    await world.close()


class TestPosting:
    @pytest.fixture
    async def posted(self, world: World, clock: ManualClock) -> Alertmanager:
        """What is posted by both replicas, as they are put together by `serve`."""
        alertmanagers = Alertmanagers(clock)
        for process in world.processes.values():
            notifier = AlertNotifier(
                process.service,
                process.store.outbox,
                clock,
                alertmanagers.post,
                lambda longest: longest,
            )
            notifier.configure(Configured(push_to=(URL,), resolve_delay=15.0))
            work = LeaderWork(process.service, notifier.refresh)
            await work.now()
            await process.stack.enter_async_context(notifier.running())
            await process.stack.enter_async_context(running(work.task().run(clock)))
        await calm()
        return alertmanagers[URL]

    async def test_is_done_once_whoever_hears_of_a_failure(
        self, world: World, posted: Alertmanager
    ) -> None:
        a, b = world.processes.values()
        await a.report("one", outcome=Outcome.FAIL)
        await b.report("two", outcome=Outcome.FAIL)
        await world.live(2)
        await calm()

        assert posted.told(ONE) == posted.told(TWO) == ["firing"]
        assert posted.posts == 2

    async def test_goes_on_when_the_leader_freezes(
        self, world: World, posted: Alertmanager
    ) -> None:
        """It renews what is open, and tells the end."""
        a, b = world.processes.values()
        await a.report("one", outcome=Outcome.FAIL)
        await world.live(2)
        await a.freeze()
        await world.live(400)
        assert posted.firing(world.clock.now()) == {ONE}
        await b.report("one")
        await world.live(120)

        assert posted.told(ONE) == ["firing", "resolved"]

    async def test_stops_at_once_without_the_lease(
        self, world: World, posted: Alertmanager
    ) -> None:
        a, b = world.processes.values()
        a.is_looking = b.is_looking = False
        await world.live(10)
        posts = posted.attempts
        with pytest.raises(Exception, match="last read"):
            await a.report("one", outcome=Outcome.FAIL)
        await world.live(600)

        assert posted.attempts == posts

    async def test_is_not_repeated_by_a_leader_that_was_told_what_was_delivered(
        self, world: World, posted: Alertmanager
    ) -> None:
        a, b = world.processes.values()
        await a.report("one", outcome=Outcome.FAIL)
        await world.live(2)
        await a.report("one")
        await world.live(120)
        assert posted.told(ONE) == ["firing", "resolved"]
        await a.freeze()
        await world.live(120)
        await b.report("two", outcome=Outcome.FAIL)
        await world.live(2)

        assert posted.told(ONE) == ["firing", "resolved"]
        assert posted.told(TWO) == ["firing"]

    async def test_of_alerts_of_a_removed_job_ends_once_all_have_removed_it(
        self, world: World, posted: Alertmanager
    ) -> None:
        a, b = world.processes.values()
        await a.report("one", outcome=Outcome.FAIL)
        await world.live(2)
        without = job_config(Job(name="two"), digest="without", unknown=None)
        await a.service.reconfigure(without)
        await world.live(200)
        assert posted.told(ONE) == ["firing"]
        await b.service.reconfigure(without)
        await world.live(200)

        assert posted.told(ONE) == ["firing", "resolved"]


def listing(receivers: Sequence[JobReceiver]) -> Mapping[Path, str]:
    """Make a file that names the receivers."""
    names = "".join(f"{one.target}\n" for one in receivers)
    return {Path("alertmanager.yml"): HEADER + names}


class TestTheManagedFile:
    @pytest.fixture
    def files(self, tmp_path: Path) -> dict[str, Path]:
        return {name: tmp_path / name / "alertmanager.yml" for name in ("a", "b")}

    @pytest.fixture
    async def managing(
        self, world: World, files: dict[str, Path]
    ) -> dict[str, Receivers]:
        """The receivers of each replica, which has a file of its own."""
        managing = {}
        for name, process in world.processes.items():
            managing[name] = await self.managed(process, files[name])
        return managing

    async def managed(self, process: Process, file: Path) -> Receivers:
        async def reload(_: str) -> None:
            """Stand for the request."""

        receivers = Receivers(process.store, reload, clock=process.clock)
        receivers.manage(ManagedFile(file, "", listing))
        work = LeaderWork(process.service, receivers.refresh)
        process.service.receivers_changed = work.request
        await work.now()
        await process.stack.enter_async_context(running(work.task().run(process.clock)))
        await calm()
        return receivers

    async def test_is_written_by_the_leader_alone(
        self, world: World, managing: dict[str, Receivers], files: dict[str, Path]
    ) -> None:
        receiver = JobReceiver(
            job="one", type=ReceiverType.EMAIL, target="x@example.com"
        )
        _, applied = await managing["b"].add(receiver)
        assert applied is Applied.RELOADING
        await world.live(2)
        await calm()

        assert "x@example.com" in files["a"].read_text()
        assert not files["b"].exists()
        assert managing["a"].file_ok
        assert managing["b"].file_ok is None

    async def test_is_written_by_the_next_leader(
        self, world: World, managing: dict[str, Receivers], files: dict[str, Path]
    ) -> None:
        receiver = JobReceiver(
            job="one", type=ReceiverType.EMAIL, target="x@example.com"
        )
        await managing["a"].add(receiver)
        await world.stop("a")
        await world.live(5)
        for _ in range(50):
            await calm()

        assert "x@example.com" in files["b"].read_text()
