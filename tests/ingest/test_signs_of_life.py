"""Signs of life through every dialect that knows them: one clock for all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.config.loading import parse
from afterrun_exporter.engine.service import Service
from tests.core.jobs import at
from tests.dialects.test_sentry import ID, check_in, envelope
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

UUID = "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"
FILE = f"jobs: {{job: {{heartbeat: 5m, ping_uuid: {UUID}}}}}"


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    body: Any = None
    method: str = "POST"

    async def send(self, client: Client) -> None:
        body = self.body
        if isinstance(body, dict | list):
            body = json.dumps(body)
        response = await client.request(self.method, self.path, data=body)
        assert response.status in {200, 202}, await response.text()


START = Request("/ping/job", {"status": "start", "run_id": UUID})
NAMELESS = Request("/ping/job", {"status": "start"})
TASK = Request("/task", {"id": UUID, "name": "job", "status": "Running"})
SENTRY = Request("/api/42/envelope/", envelope(check_in(status="in_progress")))
HEALTHCHECKS = Request(f"/ping/KEY1/job/start?rid={UUID}")

SIGNS = {
    "progress": (START, Request("/ping/job", {"status": "progress", "run_id": UUID})),
    "log": (START, Request("/ping/job", {"status": "log", "run_id": UUID})),
    "log without an id": (START, Request("/ping/job", {"status": "log"})),
    "progress of a nameless run": (
        NAMELESS,
        Request("/ping/job", {"status": "progress"}),
    ),
    "log of a nameless run": (NAMELESS, Request("/ping/job", {"status": "log"})),
    "progress in an array": (
        START,
        Request("/ping", [{"job": "job", "status": "progress", "run_id": UUID}]),
    ),
    "log in a line": (
        START,
        Request("/ping", f'{{"job": "job", "status": "log", "run_id": "{UUID}"}}\n'),
    ),
    "Healthchecks, by key and slug": (
        HEALTHCHECKS,
        Request(f"/ping/KEY1/job/log?rid={UUID}", "at 10 %"),
    ),
    "Healthchecks, by UUID": (HEALTHCHECKS, Request(f"/ping/{UUID}/log", "at 10 %")),
    "Healthchecks, by UUID alone": (HEALTHCHECKS, Request(f"/{UUID}/log")),
    "Sentry, in an envelope": (SENTRY, SENTRY),
    "Sentry, by URL": (
        SENTRY,
        Request(
            f"/api/42/cron/job/KEY?status=in_progress&check_in_id={ID}", method="GET"
        ),
    ),
    "counts of items": (
        TASK,
        Request("/task", {"task_id": UUID, "new_success": 3}, "PUT"),
    ),
    "counts in a change": (TASK, Request(f"/task/{UUID}", {"success": 3}, "PATCH")),
    "no counts in a change": (TASK, Request(f"/task/{UUID}", {}, "PATCH")),
    "a row of a table": (
        START,
        Request("/runs", {"job_id": "job", "status": "progress", "run_id": UUID}),
    ),
}

#: Of these nobody can tell that they are more than repeats.
NO_SIGNS = {
    "a start": (START, START),
    "a start that names no run": (START, NAMELESS),
    "Healthchecks": (HEALTHCHECKS, HEALTHCHECKS),
    "Cronitor": (
        Request("/p/KEY1/job/run?series=a", method="GET"),
        Request("/p/KEY1/job/run?series=a&host=b", method="GET"),
    ),
    "an event": (
        Request("/events", {"type": "job.started", "jobId": "job", "runId": UUID}),
        Request("/events", {"type": "job.started", "jobId": "job", "runId": UUID}),
    ),
}


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> Service:
    service = Service(store, clock, parse(FILE).job_config)
    await service.start()
    return service


async def told(
    service: Service, clock: ManualClock, client: Client, *requests: Request
) -> list[str]:
    """Return the alerts after *requests*, one every four minutes, and six of silence."""
    for request in requests:
        await request.send(client)
        clock.show(clock.now() + 240)
        await service.sweep()
        state = service.state("job")
        assert state is not None
        assert not state.alerts
    clock.show(clock.now() + 120)
    await service.sweep()
    state = service.state("job")
    assert state is not None
    return [alert.key.condition.value for alert in state.alerts]


@pytest.mark.parametrize(("start", "sign"), SIGNS.values(), ids=SIGNS)
async def test_a_run_that_sends_them_may_not_fall_silent(
    start: Request,
    sign: Request,
    service: Service,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(app_of(service, clock))

    assert await told(service, clock, client, start, sign, sign, sign) == [
        "overrunning"
    ]
    # Nor is it too late for it.
    await sign.send(client)
    state = service.state("job")
    assert state is not None
    assert (state.alerts, state.open_runs[0].alive_at) == ((), clock.now())


@pytest.mark.parametrize(("start", "again"), NO_SIGNS.values(), ids=NO_SIGNS)
async def test_what_is_only_sent_again_is_none(
    start: Request,
    again: Request,
    service: Service,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(app_of(service, clock))

    assert await told(service, clock, client, start, again) == []


async def test_a_report_may_announce_when_the_next_one_comes(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    """Nothing is configured: this is what `afterrun exec --heartbeat` relies on."""
    service = Service(store, clock, parse("{}").job_config)
    await service.start()
    client = await aiohttp_client(app_of(service, clock))
    start = {"status": "start", "run_id": UUID, "heartbeat_seconds": 250}

    sign = {"status": "progress", "run_id": UUID}
    beats = [Request("/ping/job", one) for one in (start, sign, sign)]
    assert await told(service, clock, client, *beats) == ["overrunning"]


@pytest.mark.parametrize("silence", [0, -1, "soon", "NaN", 1e11, True])
async def test_a_silence_that_there_is_not_is_left_out(
    silence: object,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> None:
    service = Service(store, clock, parse("{}").job_config)
    await service.start()
    client = await aiohttp_client(app_of(service, clock))
    report = {"status": "start", "heartbeat_seconds": silence}
    answer = await client.post("/ping/job", data=json.dumps(report))

    (warning,) = (await answer.json())["warnings"]
    assert warning.startswith("heartbeat_seconds is left out: ")
    assert store.states["job"].open_runs[0].heartbeat == 0.0
    assert at("21 12:00") == clock.now()
