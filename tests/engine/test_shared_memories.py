"""What a replica keeps in memory is never only its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NoReturn

import pytest
from pytest_aiohttp.plugin import AiohttpClient
from structlog.testing import capture_logs

from afterrun_exporter.config import default
from afterrun_exporter.core.job_config import plain_job
from afterrun_exporter.core.model import Job
from afterrun_exporter.engine.leader_work import LeaderWork, leader_works
from afterrun_exporter.engine.periodic import running
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.errors import JobChangedError, PingError, StorageError
from afterrun_exporter.server.security import SecuritySettings
from tests.copies import replace
from tests.core.jobs import at
from tests.fakes import ManualClock
from tests.http import Client, app_of, whole_app
from tests.push_bodies import families_of, read_text
from tests.replicas import InMemory, World
from tests.services import job_config


def exposing(name: str, settings: str = "") -> Job:
    return replace(plain_job(name, settings), exposes_pushes=True)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("21 12:00"))


@pytest.fixture
async def world(clock: ManualClock) -> AsyncIterator[World]:
    world = World(
        InMemory(clock), clock, job_config(unknown=exposing, pushed_bytes=2000)
    )
    for name in ("a", "b"):
        await world.start(name)
    yield world
    await world.close()


class TestPushedMetrics:
    @pytest.fixture
    async def pushed(self, world: World) -> list[PushedMetrics]:
        pushed = [
            PushedMetrics(one.store, one.service, one.clock)
            for one in world.processes.values()
        ]
        for one in pushed:
            await one.refresh()
        return pushed

    async def push(self, pushed: PushedMetrics, body: str, **labels: str) -> None:
        group = {"job": "etl", **labels}
        families = families_of(read_text(body.encode()), group)
        await pushed.push("etl", group, families, replacing=False)

    async def test_of_one_replica_are_exposed_by_the_other(
        self, world: World, pushed: list[PushedMetrics]
    ) -> None:
        await self.push(pushed[0], "m 1\n")
        await world.live(1)

        assert b"m{" in pushed[1].page()
        assert pushed[0].page() == pushed[1].page()

    async def test_are_added_to_those_that_the_other_replica_has_just_received(
        self, pushed: list[PushedMetrics]
    ) -> None:
        await self.push(pushed[0], "m 1\n")
        await self.push(pushed[1], "n 2\n")

        assert b"m{" in pushed[1].page()
        assert b"n{" in pushed[1].page()

    async def test_share_one_limit(self, pushed: list[PushedMetrics]) -> None:
        await self.push(pushed[0], "m 1\n", region="eu")
        fitting = 0
        with suppress(PingError):
            for number in range(20):
                await self.push(pushed[number % 2], "m 1\n", region=f"r{number}")
                fitting += 1

        assert 0 < fitting < 20
        for one in pushed:
            with pytest.raises(PingError, match="pushed_bytes"):
                await self.push(one, "m 1\n", region="us")

    async def test_are_read_again_when_the_database_responds(
        self, world: World, pushed: list[PushedMetrics], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def failing() -> NoReturn:
            raise StorageError("connection lost")

        other = world.processes["b"]
        monkeypatch.setattr(other.store, "pushed", failing)
        await self.push(pushed[0], "m 1\n")
        with capture_logs() as logs:
            await world.live(1)
        monkeypatch.undo()
        assert "pushed_metrics_not_read" in {one["event"] for one in logs}
        await self.push(pushed[1], "n 2\n")

        assert b"m{" in pushed[1].page()


class TestDescriptions:
    async def test_at_once_are_applied_one_after_the_other(
        self, clock: ManualClock
    ) -> None:
        world = World(InMemory(clock), clock, default().job_config)
        admins = [(await world.start(name)).admin for name in ("a", "b")]
        await asyncio.gather(
            *(
                admin.describe("new", {"every": every, "grace": "1m"})
                for admin, every in zip(admins, ("1h", "2h"), strict=True)
            )
        )
        await world.look()

        assert admins[0].description("new") == admins[1].description("new")
        with pytest.raises(JobChangedError, match="described by another request"):
            await asyncio.gather(
                *(
                    admin.create("newer", {"every": every})
                    for admin, every in zip(admins, ("1h", "2h"), strict=True)
                )
            )
        await world.look()
        with pytest.raises(JobChangedError, match="created by another request"):
            await admins[0].create("newer", {"every": "3h"})
        await world.close()


class TestWorkOfTheLeader:
    async def test_is_looked_for_again_and_again(
        self, world: World, clock: ManualClock
    ) -> None:
        done: list[float] = []

        async def noted() -> None:
            done.append(clock.now())

        (work,) = leader_works(world.processes["a"].service, noted)
        async with running(work.task().run(clock)):
            await world.live(3)
            work.request()
            await world.live(3)

        assert len(done) == 2

    async def test_is_done_by_the_leader_and_again_by_the_next_one(
        self, world: World
    ) -> None:
        done: list[str] = []

        def work(name: str) -> LeaderWork:
            async def noted() -> None:
                done.append(name)

            return LeaderWork(world.processes[name].service, noted)

        works = [work(name) for name in ("a", "b")]
        for one in (*works, *works):
            await one.now()
        assert done == ["a", "a"]
        await world.processes["a"].freeze()
        for _ in range(5):
            await world.live(2)
            for one in works:
                await one.look()
        assert done == ["a", "a", "b"]
        await world.processes["a"].thaw()
        await world.live(10)
        for one in (*works, *works):
            await one.look()

        assert done == ["a", "a", "b"]


class TestRequests:
    @pytest.fixture
    async def world(self, clock: ManualClock) -> AsyncIterator[World]:
        world = World(InMemory(clock), clock, default().job_config)
        for name in ("a", "b"):
            await world.start(name)
        yield world
        await world.close()

    @pytest.fixture
    async def clients(
        self, world: World, clock: ManualClock, aiohttp_client: AiohttpClient
    ) -> list[Client]:
        return [
            await aiohttp_client(app_of(one.service, clock))
            for one in world.processes.values()
        ]

    async def test_about_a_job_are_answered_by_the_other_replica(
        self, clients: list[Client]
    ) -> None:
        """A job is described here, and a moment later reported there by its UUID."""
        answer = await clients[0].post(
            "/api/v3/checks/", json={"name": "nightly", "api_key": "x"}
        )
        made = await answer.json()
        path = made["ping_url"].partition("/ping/")[2]

        assert (await clients[1].get(f"/ping/{path}")).status == 200

    async def test_at_once_do_not_create_a_job_of_the_same_name(
        self, world: World, clients: list[Client]
    ) -> None:
        """Each program would get the UUID of the last one, or none that exists."""
        requests = (
            clients[number % 2].post(
                "/api/v3/checks/", json={"name": "nightly", "timeout": 60 + number}
            )
            for number in range(6)
        )
        answers = await asyncio.gather(*requests)
        made = [await answer.json() for answer in answers]

        assert {answer.status for answer in answers} == {201}
        assert len({one["uuid"] for one in made}) == 6
        await world.look()
        for process in world.processes.values():
            uuids = {job.ping_uuid for job, _ in process.service.watched()}
            assert uuids == {one["uuid"] for one in made}

    async def test_at_once_change_a_job_one_after_the_other(
        self, world: World, clients: list[Client]
    ) -> None:
        answer = await clients[0].post("/api/v3/checks/", json={"name": "nightly"})
        uuid = (await answer.json())["uuid"]
        await world.look()
        changes = ({"tags": "a"}, {"desc": "Every night"})
        await asyncio.gather(
            *(
                client.post(f"/api/v3/checks/{uuid}", json=change)
                for client, change in zip(clients, changes, strict=True)
            )
        )
        await world.look()

        for process in world.processes.values():
            job = process.service.job("nightly")
            assert job is not None
            assert job.ping_uuid == uuid

    async def test_of_a_task_end_it_on_the_other_replica(
        self, clients: list[Client]
    ) -> None:
        task = {"name": "Cluster A", "kind": "data-processing", "status": "Running"}
        for number in ("6f1c", "7a2d"):
            assert (await clients[1].delete("/task/nobody")).status == 404
            await clients[0].post("/task", json={**task, "id": number})

        done = {"status": "Success"}
        assert (await clients[1].patch("/task/7a2d", json=done)).status == 200

    async def test_with_a_form_may_reach_another_replica_than_its_page(
        self, world: World, clock: ManualClock, aiohttp_client: AiohttpClient
    ) -> None:
        """And the page after it shows what the form has done."""
        a, b = [
            await aiohttp_client(
                whole_app(one.service, one.store, clock, SecuritySettings())
            )
            for one in world.processes.values()
        ]
        await a.post("/ping/backup")
        page = await (await b.get("/jobs/backup")).text()
        token = re.search(r'name="token" value="([^"]+)"', page)
        assert token is not None
        form = {"for": "", "token": token[1]}
        paused = await a.post("/jobs/backup/pause", data=form, allow_redirects=False)

        assert paused.status == 303
        page = await (await b.get("/jobs/backup?done=paused")).text()
        assert "The job is paused" in page
        job = world.processes["b"].service.job("backup")
        assert job is not None
        assert not job.enabled
