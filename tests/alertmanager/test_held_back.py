"""What a job that waits for another one posts: nothing that is not posted already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from afterrun_exporter.core.alerts import UPSTREAM_UNHEALTHY
from afterrun_exporter.core.model import Condition, Dependency, Outcome
from afterrun_exporter.core.notifications import AlertNotification, not_held_back
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from tests.alertmanager.chain import WARNING, Chain, calm
from tests.copies import replace
from tests.core.jobs import BACKUP, ping

REPORT = replace(BACKUP, name="report", depends_on=(Dependency("backup"),))
FAILING = "report warning"
WAITS = "report none"


def waits(chain: Chain) -> bool:
    state = chain.service.state("report")
    return state is not None and any(
        alert.key == UPSTREAM_UNHEALTHY for alert in state.alerts
    )


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    chain = await Chain(None, BACKUP, REPORT).start()
    yield chain
    await chain.stop()


async def test_a_job_that_fails_after_the_one_it_requires_posts_nothing(
    chain: Chain,
) -> None:
    await chain.fail()
    await chain.fail("report")
    await chain.wait(600)

    assert chain.a.firing(chain.clock.now()) == {WARNING}
    assert chain.a.told(FAILING) == chain.a.told(WAITS) == []


async def test_nor_does_one_that_is_due_later(chain: Chain) -> None:
    """That it waits is known before it fails."""
    await chain.fail()
    await chain.wait(10)
    assert waits(chain)

    await chain.fail("report")
    await chain.wait(600)

    assert chain.a.told(FAILING) == chain.a.told(WAITS) == []


async def test_one_that_failed_before_goes_on_and_is_inhibited(chain: Chain) -> None:
    await chain.fail("report")
    await chain.fail()
    await chain.wait(600)

    assert chain.a.firing(chain.clock.now()) == {WARNING, FAILING, WAITS}
    assert chain.a.told(FAILING)[-1] == "firing"


async def test_what_is_still_wrong_when_the_waiting_ends_is_posted(
    chain: Chain,
) -> None:
    """With its text and its beginning."""
    await chain.fail()
    await chain.fail("report")
    await chain.succeed()
    await chain.wait(600)
    assert chain.a.told(FAILING) == []

    await chain.fail("report")

    assert chain.a.told(FAILING) == chain.b.told(FAILING) == ["firing"]
    posted = chain.a.last[FAILING]
    assert posted["startsAt"] == "2026-11-21T12:00:00.000Z"
    assert posted["annotations"]["description"] == (
        "report: 2 runs in a row were not ok, the last one failed; no ok run so far."
    )
    assert chain.a.told(WAITS) == []


async def test_a_text_outlives_a_changed_severity(chain: Chain) -> None:
    await chain.fail()
    await chain.fail("report")
    await chain.reload(BACKUP, replace(REPORT, severity="critical"))
    await chain.succeed()

    await chain.fail("report")

    posted = chain.a.last["report critical"]
    assert posted["annotations"]["description"] == (
        "report: 2 runs in a row were not ok, the last one failed; no ok run so far."
    )


async def test_what_is_over_when_the_waiting_ends_is_never_posted(chain: Chain) -> None:
    await chain.fail()
    await chain.fail("report")
    await chain.report(Outcome.OK, "report")
    await chain.succeed()
    await chain.report(Outcome.OK, "report")
    await chain.wait(3600)

    assert chain.a.told(FAILING) == chain.a.told(WAITS) == []
    assert chain.a.firing(chain.clock.now()) == set()
    assert chain.store.outbox.notices == {}


@pytest.mark.parametrize(
    "reports",
    [
        "report fail, report ok",
        "backup ok, report fail, report ok",
        "backup ok, backup fail, report fail, report ok",
    ],
)
async def test_what_begins_and_ends_in_one_commit_is_never_posted(
    chain: Chain, reports: str
) -> None:
    await chain.fail()
    await chain.wait(10)

    await chain.service.record_all(
        [
            ping(
                "21 12:01",
                job=job,
                outcome=Outcome(outcome),
                fingerprint=report.encode() + bytes([number]),
            )
            for number, report in enumerate(reports.split(", "))
            for job, outcome in [report.split()]
        ]
    )
    await chain.wait(3600)

    assert chain.a.told(FAILING) == chain.a.told(WAITS) == []


async def test_the_end_of_one_that_was_posted_is_posted(chain: Chain) -> None:
    await chain.fail("report")
    await chain.fail()
    await chain.report(Outcome.OK, "report")
    await chain.wait(3600)

    assert chain.a.told(FAILING)[-1] == "resolved"
    assert chain.a.firing(chain.clock.now()) == {WARNING}


@pytest.mark.parametrize(
    ("open_ones", "posted", "expected"),
    [
        ("f m", "", ""),
        ("f m", "f", "f"),
        ("f m u", "", ""),
        ("f m u", "f", "f u"),
        ("f m u", "f u", "f u"),
        # What it inhibited is over.
        ("m u", "u", "u"),
        ("u", "", ""),
        # The upstream cannot cause this one.
        ("o u", "", "o"),
        ("o f u", "o", "o"),
        ("o f u", "f", "o f u"),
    ],
)
def test_a_waiting_job_posts_what_is_posted_already(
    open_ones: str, posted: str, expected: str
) -> None:
    conditions = {
        "f": Condition.FAILING,
        "m": Condition.MISSED,
        "o": Condition.OVERLAPPING,
        "u": Condition.UPSTREAM_UNHEALTHY,
    }
    notices = [
        AlertNotification(
            labels=one, job="report", key=AlertKey(conditions[one]), opened_at=0
        )
        for one in open_ones.split()
    ]
    keys = {AlertKey(conditions[one]) for one in posted.split()}

    found = [notice.labels for notice in not_held_back(notices, keys)]

    assert found == expected.split()


async def test_a_changed_severity_does_not_end_what_is_posted(chain: Chain) -> None:
    await chain.fail("report")
    await chain.fail()
    await chain.reload(BACKUP, replace(REPORT, severity="critical"))
    await chain.wait(600)

    assert chain.a.firing(chain.clock.now()) >= {WARNING, "report critical", WAITS}


async def test_a_restart_lets_nothing_loose(tmp_path: Path) -> None:
    path = tmp_path / "afterrun.db"
    async with SQLiteStore.open(path) as store:
        chain = await Chain(store, BACKUP, REPORT).start()
        await chain.fail()
        await chain.fail("report")
        await chain.stop()

    async with SQLiteStore.open(path) as chain.store:
        await chain.start()
        await chain.wait(600)
        assert chain.a.told(FAILING) == chain.a.told(WAITS) == []
        await chain.succeed()
        await chain.fail("report")
        while not chain.a.told(FAILING):
            await calm()
        assert chain.a.told(FAILING) == ["firing"]
        await chain.stop()
