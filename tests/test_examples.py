"""What examples/ shows works, and says what its comments promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter import config as configs
from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.status import status
from afterrun_exporter.engine.service import Service
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

EXAMPLES = Path(__file__).parents[1] / "examples"
QUEUE = EXAMPLES / "queue-health.yml"

#: An idle queue.
IDLE = {
    "dlq_size": 0,
    "pending_jobs": 0,
    "delayed_jobs": 0,
    "oldest_pending_seconds": 0,
    "paused": 0,
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("21 12:00"))


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> Service:
    """A service that goes by the example of a queue."""
    service = Service(store, clock, configs.load(QUEUE).job_config)
    await service.start()
    return service


@pytest.fixture
async def client(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> Client:
    return await aiohttp_client(app_of(service, clock))


async def report(client: Client, job: str, **body: Any) -> dict[str, Any]:
    response = await client.post(f"/ping/{job}", json=body)
    answer: dict[str, Any] = await response.json()
    return answer


async def queue_is(client: Client, **metrics: float) -> list[str]:
    """Report an idle queue but for *metrics*; return the rules that this breaks."""
    answer = await report(client, "queue-health", metrics={**IDLE, **metrics})
    return [violation["rule"] for violation in answer["violations"]]


async def several(
    client: Client, clock: ManualClock, job: str, *bodies: dict[str, Any]
) -> None:
    """Report runs of *job*, a minute apart."""
    for body in bodies:
        await report(client, job, **body)
        await clock.advance(60)


def open_alerts(service: Service, job: str) -> set[Condition]:
    state = service.state(job)
    assert state is not None
    return {alert.key.condition for alert in state.alerts}


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*.yml")), ids=lambda path: path.name
)
def test_nothing_is_wrong_or_odd_about_an_example(path: Path) -> None:
    config = configs.load(path)

    assert configs.warnings(path.read_text("utf-8"), config, at("21 12:00")) == ()


@pytest.mark.parametrize(
    ("metrics", "broken"),
    [
        ({}, []),
        ({"dlq_size": 1}, ["dlq-jobs"]),
        ({"pending_jobs": 49}, []),
        ({"pending_jobs": 50}, ["queue-backlog"]),
        ({"paused": 1}, ["queue-paused"]),
        ({"delayed_jobs": 19}, []),
        ({"delayed_jobs": 20}, ["delayed-jobs"]),
        ({"oldest_pending_seconds": 899}, []),
        ({"oldest_pending_seconds": 900}, ["concurrency-limit"]),
        ({"dlq_size": 2, "pending_jobs": 80}, ["dlq-jobs", "queue-backlog"]),
    ],
)
async def test_a_queue_in_trouble_breaks_the_rule_about_it(
    client: Client, metrics: dict[str, float], broken: list[str]
) -> None:
    """The boundary is where worker's alerts.yaml had it: from 50 pending jobs on."""
    assert await queue_is(client, **metrics) == broken


@pytest.mark.parametrize(
    ("rule", "severity"),
    [
        ("dlq-jobs", "high"),
        ("queue-backlog", "medium"),
        ("queue-paused", "medium"),
        ("delayed-jobs", "low"),
        ("concurrency-limit", "low"),
    ],
)
async def test_each_rule_of_the_queue_has_the_severity_of_the_alert_it_replaces(
    client: Client, rule: str, severity: str
) -> None:
    body = await (await client.get("/metrics")).text()

    (line,) = (
        line
        for line in body.splitlines()
        if line.startswith("afterrun_job_rule_violated{") and f'rule="{rule}"' in line
    )
    assert f'severity="{severity}"' in line


async def test_a_queue_that_recovers_is_healthy_at_the_next_report(
    client: Client, service: Service, clock: ManualClock
) -> None:
    """A hundred bad minutes are one alert, and no bad ratio of a week besides."""
    for _ in range(100):
        await queue_is(client, dlq_size=3)
        await clock.advance(60)
    during = open_alerts(service, "queue-health")

    assert await queue_is(client) == []
    assert during == {Condition.VIOLATED}
    assert open_alerts(service, "queue-health") == set()


async def test_a_queue_that_nobody_asks_is_missed(
    service: Service, clock: ManualClock
) -> None:
    """A minute and five of grace after the start, if the script never runs."""
    await clock.advance(6 * 60 + 1)
    await service.sweep()

    assert open_alerts(service, "queue-health") == {Condition.MISSED}


@pytest.mark.parametrize(
    ("job", "failures", "failing"),
    [
        ("maintenance.cleanup", 1, False),
        ("maintenance.cleanup", 2, False),
        ("maintenance.cleanup", 3, True),
        ("daily.questmaster", 1, True),
        ("github.sync", 1, True),
        # Not in the file: policies hold for what a ping registers, too.
        ("weekly.digest", 2, False),
        ("weekly.digest", 3, True),
        ("weekly.questmaster", 1, True),
        ("queue-health", 1, True),
    ],
)
async def test_critical_jobs_alert_at_once_and_others_at_the_third_failure(
    client: Client,
    service: Service,
    clock: ManualClock,
    job: str,
    failures: int,
    failing: bool,
) -> None:
    await several(client, clock, job, *[{"status": "fail"}] * failures)

    assert (Condition.FAILING in open_alerts(service, job)) is failing


async def test_a_job_is_critical_where_the_policy_says_so(service: Service) -> None:
    severities = {job.name: job.severity for job, _ in service.watched()}

    assert severities == {
        "queue-health": "high",
        "daily.questmaster": "critical",
        "weekly.sprintplanner": "critical",
        "github.sync": "critical",
        "maintenance.cleanup": "medium",
    }


@pytest.mark.parametrize(
    ("statuses", "low"),
    [
        ("ok fail ok fail", False),  # too few to tell
        ("ok ok ok ok fail", False),  # 80% is not below 80%
        ("ok ok fail ok fail", True),
        ("ok fail ok fail ok ok ok ok", True),
        ("ok fail ok fail ok ok ok ok ok ok", False),
    ],
)
async def test_a_job_that_fails_too_often_has_a_low_success_ratio(
    client: Client, service: Service, clock: ManualClock, statuses: str, low: bool
) -> None:
    """Though it never fails three times in a row."""
    runs = [{"status": status} for status in statuses.split()]

    await several(client, clock, "maintenance.cleanup", *runs)

    found = open_alerts(service, "maintenance.cleanup")
    assert found == ({Condition.SUCCESS_RATIO_LOW} if low else set())


@pytest.mark.parametrize(
    ("seconds", "slow"),
    [
        ((10, 10, 60), False),  # nothing is usual yet
        ((10, 12, 11, 22), False),
        ((10, 12, 11, 22.1), True),
        ((10, 12, 11, 60, 12), False),
    ],
)
async def test_a_run_that_takes_twice_the_usual_time_is_slow(
    client: Client,
    service: Service,
    clock: ManualClock,
    seconds: tuple[float, ...],
    slow: bool,
) -> None:
    runs = [{"duration_seconds": duration} for duration in seconds]

    await several(client, clock, "maintenance.cleanup", *runs)

    found = open_alerts(service, "maintenance.cleanup")
    assert found == ({Condition.SLOW} if slow else set())


async def test_a_run_that_does_not_end_is_a_timeout(
    client: Client, service: Service, clock: ManualClock
) -> None:
    """Overrunning while it lasts; the outcome is timeout once the next one starts."""
    await report(client, "github.sync", status="start", run_id="1")
    await clock.advance(10 * 60 + 1)
    await service.sweep()
    during = open_alerts(service, "github.sync")

    await report(client, "github.sync", status="start", run_id="2")

    job, state = service.job("github.sync"), service.state("github.sync")
    assert job is not None
    assert state is not None
    assert during == {Condition.OVERRUNNING}
    assert status(job, state).value == "overrunning"


def test_the_throttle_sends_at_most_ten_messages_an_hour_for_a_job() -> None:
    grouping = configs.load(QUEUE).alertmanager.grouping

    assert grouping.group_by == ("job_name",)
    assert grouping.group_interval == 3600 / 10
