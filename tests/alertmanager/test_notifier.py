"""Whatever happens to jobs, Alertmanagers and the daemon: it is told, and once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from afterrun_exporter import conventions as names
from afterrun_exporter.alertmanager.sender import BATCH, LONGEST_PAUSE
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.model import Dependency, Outcome
from afterrun_exporter.core.notifications import RENEW_EVERY, RENEW_FRESH
from afterrun_exporter.core.routing import Alertmanager
from afterrun_exporter.errors import StorageError
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.storage.outbox import Changes
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from tests.alertmanager.chain import (
    CRITICAL,
    DELAY,
    LATE,
    MIN_VISIBLE,
    WARNING,
    A,
    B,
    Chain,
    calm,
)
from tests.copies import replace
from tests.core.jobs import BACKUP, ping
from tests.fakes import MemoryStore


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    chain = await Chain().start()
    yield chain
    await chain.stop()


async def test_an_alert_is_told_at_once_and_to_everyone(chain: Chain) -> None:
    """No time passes: nobody waits for the next look at a table."""
    await chain.fail()

    for one in (chain.a, chain.b):
        assert one.told(WARNING) == ["firing"]
        assert one.last[WARNING]["labels"]["alertname"] == "AfterRunJobFailing"
        assert one.posts == 1


async def test_what_is_well_is_told_to_nobody(chain: Chain) -> None:
    await chain.succeed()
    await chain.wait(3600)

    assert chain.a.attempts == 0


async def test_the_end_is_told_when_prometheus_must_have_seen_it(chain: Chain) -> None:
    """Not before: Prometheus would say "firing" once more, and open it anew."""
    await chain.fail()
    await chain.wait(5)
    await chain.succeed()
    await chain.wait(MIN_VISIBLE - 5 + DELAY - 1)
    assert chain.a.told(WARNING) == ["firing"]
    assert chain.a.firing(chain.clock.now()) == {WARNING}

    await chain.wait(1)

    assert chain.a.told(WARNING) == ["firing", "resolved"]
    assert chain.a.last[WARNING]["endsAt"] == "2026-11-21T12:00:05.000Z"
    assert chain.store.outbox.notices == {}


async def test_nothing_is_renewed_once_it_is_over(chain: Chain) -> None:
    await chain.fail()
    await chain.succeed()
    posts = chain.a.posts
    await chain.wait(MIN_VISIBLE + DELAY - 1)

    assert chain.a.posts == posts


async def test_what_comes_back_before_its_end_was_told_never_ended(
    chain: Chain,
) -> None:
    """It is told again at once: Prometheus may have ended it meanwhile."""
    await chain.fail()
    await chain.wait(10)
    await chain.succeed()
    await chain.wait(100)
    posts = chain.a.posts
    await chain.fail()
    assert chain.a.posts == posts + 1

    for _ in range(60):
        await chain.wait(RENEW_EVERY)

    assert chain.a.told(WARNING) == ["firing"]
    assert chain.a.firing(chain.clock.now()) == {WARNING}


async def test_an_open_alert_is_renewed_before_it_expires(chain: Chain) -> None:
    """Every minute; every few seconds at first, while Prometheus is still to see it."""
    await chain.fail()
    for _ in range(int(DELAY / RENEW_FRESH)):
        await chain.wait(RENEW_FRESH)
    fresh = chain.a.posts
    assert fresh == 1 + DELAY / RENEW_FRESH

    for _ in range(10):
        assert chain.a.firing(chain.clock.now() + 2 * RENEW_EVERY) == {WARNING}
        await chain.wait(RENEW_EVERY)

    assert chain.a.posts == fresh + 10


async def test_an_alertmanager_that_has_forgotten_is_told_within_a_minute(
    chain: Chain,
) -> None:
    await chain.fail()
    await chain.wait(600)
    chain.a.ends.clear()

    await chain.wait(RENEW_EVERY)

    assert chain.a.firing(chain.clock.now()) == {WARNING}


async def test_one_that_is_down_does_not_delay_another(chain: Chain) -> None:
    chain.b.is_up = False

    await chain.fail()

    assert chain.a.told(WARNING) == ["firing"]
    assert list(chain.notifier.counts()) == [(A, 1, 0, 0), (B, 0, 1, 1)]


async def test_one_that_was_down_is_told_when_it_is_back(chain: Chain) -> None:
    chain.b.is_up = False
    await chain.fail()
    await chain.wait(3600)
    chain.b.is_up = True
    await chain.wait(LONGEST_PAUSE)

    assert chain.b.told(WARNING) == ["firing"]
    assert list(chain.notifier.counts())[1][3] == 0


async def test_what_was_over_before_it_could_be_told_is_told_all_the_same(
    chain: Chain,
) -> None:
    """First that it was, and a while later that it is over."""
    chain.b.is_up = False
    await chain.fail()
    await chain.wait(60)
    await chain.succeed()
    await chain.wait(3600)
    assert chain.a.told(WARNING) == ["firing", "resolved"]
    chain.b.is_up = True
    await chain.wait(LONGEST_PAUSE)
    assert chain.b.told(WARNING) == ["firing"]

    for _ in range(int(LATE / RENEW_FRESH)):
        assert chain.b.told(WARNING) == ["firing"]
        await chain.wait(RENEW_FRESH)

    assert chain.b.told(WARNING) == ["firing", "resolved"]
    assert chain.store.outbox.notices == {}


async def test_pauses_grow_and_end(chain: Chain) -> None:
    """Half a second, one, two ... and never more than half a minute."""
    chain.b.is_up = False
    await chain.fail()
    attempts = [chain.clock.now()]
    while len(attempts) < 10:
        before = chain.b.attempts
        await chain.wait(0.5)
        if chain.b.attempts > before:
            attempts.append(chain.clock.now())

    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def test_the_log_has_a_line_when_it_begins_and_one_when_it_ends(
    chain: Chain,
) -> None:
    """And none for each attempt in between."""
    with capture_logs() as logs:
        chain.b.is_up = False
        await chain.fail()
        for _ in range(100):
            await chain.wait(LONGEST_PAUSE)
        chain.b.is_up = True
        await chain.wait(LONGEST_PAUSE)

    assert [(line["event"], line["alertmanager"]) for line in logs] == [
        ("push_failing", B),
        ("push_recovered", B),
    ]


async def test_one_alert_that_is_refused_does_not_hold_up_the_others() -> None:
    """It is found, named in the log, and not posted again."""
    jobs = [replace(BACKUP, name=f"job-{n}") for n in range(20)]
    chain = Chain(None, *jobs)
    chain.a.unbearable = frozenset({"job-13"})
    chain.a.is_up = False
    await chain.start()
    for job in jobs:
        await chain.fail(job.name)
    with capture_logs() as logs:
        chain.a.is_up = True
        await chain.wait(LONGEST_PAUSE)

    assert len(chain.a.firing(chain.clock.now())) == 19
    refused = [line for line in logs if line["event"] == "alert_refused"]
    assert len(refused) == 1
    assert '"job-13"' in refused[0]["labels"]
    attempts = chain.a.attempts
    await chain.wait(1)
    assert chain.a.attempts == attempts
    assert len(chain.b.firing(chain.clock.now())) == 20
    await chain.stop()


async def test_many_alerts_go_in_few_posts() -> None:
    jobs = [replace(BACKUP, name=f"job-{n}") for n in range(BATCH + 1)]
    chain = await Chain(None, *jobs).start()
    reports = [ping("21 12:00", job=job.name, outcome=Outcome.FAIL) for job in jobs]
    await chain.service.record_all(reports)
    await calm()

    assert len(chain.a.firing(chain.clock.now())) == BATCH + 1
    assert chain.a.posts == 2
    await chain.stop()


async def test_what_inhibits_alerts_of_dependent_jobs_is_posted_before_them() -> None:
    """A storm takes many posts, and the groups of pushed alerts wait for two seconds."""
    upstream = (Dependency("backup"),)
    children = [
        replace(BACKUP, name=f"child-{number}", depends_on=upstream)
        for number in range(BATCH)
    ]
    chain = await Chain(None, BACKUP, *children).start()
    chain.a.is_up = False
    await chain.service.record_all(
        [
            ping("21 12:00", job=job.name, outcome=Outcome.FAIL)
            for job in (*children, BACKUP)
        ]
    )
    await chain.wait(1)
    chain.a.is_up = True
    await chain.wait(600)

    first = dict.fromkeys(one for one, _, _ in chain.a.said[:BATCH])
    assert first == dict.fromkeys(f"{job.name} none" for job in children)
    await chain.stop()


async def test_a_severity_that_changes_ends_the_old_labels_and_opens_the_new(
    chain: Chain,
) -> None:
    await chain.fail()
    await chain.wait(1000)

    await chain.reload(replace(BACKUP, severity="critical"))
    assert chain.a.told(CRITICAL) == ["firing"]
    await chain.wait(DELAY)

    assert chain.a.told(WARNING) == ["firing", "resolved"]
    assert chain.a.firing(chain.clock.now()) == {CRITICAL}
    told = chain.a.last[CRITICAL]
    assert told["annotations"]["description"] == ("backup: failed; no ok run so far.")
    assert told["startsAt"] == "2026-11-21T12:00:00.000Z"


async def test_a_timeout_after_a_failure_ends_the_old_labels_and_opens_the_new(
    chain: Chain,
) -> None:
    """The old ones are not ended before Prometheus can have seen it."""
    await chain.fail()
    await chain.wait(100)
    await chain.report(Outcome.TIMEOUT)
    since = chain.clock.now()
    await chain.wait(DELAY - 1)

    def states() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"": [], "true": []}
        for notice in chain.store.outbox.notices.values():
            over = "over" if notice.resolved_at == since else "open"
            found[json.loads(notice.labels).get("timed_out", "")].append(over)
        return found

    assert states() == {"": ["over"], "true": ["open"]}
    await chain.wait(2)
    assert states() == {"": [], "true": ["open"]}
    await chain.fail()
    await chain.report(Outcome.OK)
    await chain.wait(MIN_VISIBLE + DELAY + LATE)
    assert states() == {"": [], "true": []}


async def test_labels_that_prometheus_adds_are_changed_by_a_reload(
    chain: Chain,
) -> None:
    await chain.fail()
    await chain.reload(labels=(("job", "afterrun"), ("cluster", "eu")))

    assert chain.a.last[WARNING]["labels"]["cluster"] == "eu"


@pytest.mark.parametrize("reload_first", [True, False])
async def test_a_job_that_is_disabled_or_retired_ends(
    chain: Chain, reload_first: bool
) -> None:
    await chain.fail()
    if reload_first:
        await chain.reload(replace(BACKUP, enabled=False))
    else:
        await chain.reload(replace(BACKUP, name="another"))
    await chain.wait(MIN_VISIBLE + DELAY)

    assert chain.a.told(WARNING) == ["firing", "resolved"]


async def test_an_alertmanager_that_is_added_is_told_of_what_holds(
    chain: Chain,
) -> None:
    """And not of what was over before."""
    other = "http://c:9093"
    await chain.reload(BACKUP, replace(BACKUP, name="sync"))
    await chain.fail()
    await chain.fail("sync")
    await chain.wait(10)
    await chain.succeed()

    await chain.reload(push_to=(A, other))
    await chain.wait(600)

    assert chain.alertmanagers[other].told("sync warning") == ["firing"]
    assert chain.alertmanagers[other].told(WARNING) == []
    posts = chain.b.attempts
    await chain.wait(600)
    assert chain.b.attempts == posts
    assert [name for name, *_ in chain.notifier.counts()] == [A, other]


async def test_turned_off_and_on_again_it_tells_what_holds(chain: Chain) -> None:
    await chain.fail()
    await chain.reload(push_to=())
    assert chain.store.outbox.notices == {}
    await chain.wait(600)

    await chain.reload(push_to=(A,))

    assert chain.a.firing(chain.clock.now()) == {WARNING}
    words = chain.a.last[WARNING]["annotations"]["description"]
    assert words == "backup: failed; no ok run so far."


async def test_nothing_is_written_where_nothing_is_pushed() -> None:
    chain = Chain()
    chain.configured = Alertmanager()
    await chain.start()

    await chain.fail()

    assert chain.store.outbox.notices == {}
    assert list(chain.notifier.counts()) == []
    await chain.stop()


async def test_two_urls_of_one_alertmanager_are_one(chain: Chain) -> None:
    """Another password is no other Alertmanager."""
    again = "http://me:secret@a:9093/"
    await chain.reload(push_to=(A, again))
    await chain.fail()

    assert chain.alertmanagers[again].told(WARNING) == ["firing"]
    assert chain.a.told(WARNING) == []
    assert [name for name, *_ in chain.notifier.counts()] == [A]


async def test_the_metrics_are_there_from_the_start(chain: Chain) -> None:
    """At 0: of a counter that begins at 1, nobody sees that it has risen."""
    own = SelfMetrics("1.2.3")
    own.watch_pushes(chain.notifier.counts)
    before = pushes(own)
    chain.b.is_up = False

    await chain.fail()

    assert before == {
        ("ok", A): 0.0,
        ("failed", A): 0.0,
        ("waiting", A): 0.0,
        ("ok", B): 0.0,
        ("failed", B): 0.0,
        ("waiting", B): 0.0,
    }
    assert pushes(own) == {
        **before,
        ("ok", A): 1.0,
        ("failed", B): 1.0,
        ("waiting", B): 1.0,
    }


def pushes(own: SelfMetrics) -> dict[tuple[str, str], float]:
    """Return what is exposed of the posts."""
    return {
        (one.labels.get(names.RESULT, "waiting"), one.labels[names.ALERTMANAGER]): (
            one.value
        )
        for family in text_string_to_metric_families(own.render().decode())
        for one in family.samples
        if one.name in {names.PUSHES, names.PUSH_WAITING}
    }


async def test_an_error_nobody_foresaw_is_logged_and_does_not_end_it(
    chain: Chain,
) -> None:
    chain.a.oddity = LookupError("who would have thought")
    with capture_logs() as logs:
        await chain.fail()
        chain.a.oddity = None
        await chain.wait(LONGEST_PAUSE)

    assert logs[0]["event"] == "push_failed"
    assert chain.a.told(WARNING) == ["firing"]


class FullStore(MemoryStore):
    """A store that cannot write what was told."""

    async def _write_outbox(self, _: Changes) -> None:
        raise StorageError("no space left on device")


async def test_what_cannot_be_written_down_is_told_once_all_the_same() -> None:
    """A full disk must not become a flood of posts."""
    chain = await Chain(FullStore()).start()
    with capture_logs() as logs:
        await chain.fail()
        await chain.wait(1)

    assert chain.a.posts == 1
    assert {line["event"] for line in logs} == {"outbox_not_saved"}
    await chain.stop()


async def test_a_restart_neither_loses_nor_repeats(tmp_path: Path) -> None:
    """What one has taken and the other has not is in the database."""
    path = tmp_path / "afterrun.db"
    async with SQLiteStore.open(path) as store:
        chain = Chain(store)
        chain.b.is_up = False
        await chain.start()
        await chain.fail()
        while not store.outbox.delivery(next(iter(store.outbox.notices)), A):
            await yield_to_loop()
        await chain.wait(10)
        await chain.succeed()
        await chain.stop()

    async with SQLiteStore.open(path) as chain.store:
        chain.a.said.clear()
        chain.b.is_up = True
        await chain.start()
        assert chain.a.told(WARNING) == []
        assert chain.b.told(WARNING) == ["firing"]
        await chain.wait(MIN_VISIBLE + DELAY)
        assert chain.a.told(WARNING) == ["resolved"]
        assert chain.b.told(WARNING) == ["firing", "resolved"]
        while chain.store.outbox.notices:
            await yield_to_loop()
        await chain.stop()

    async with SQLiteStore.open(path) as again:
        assert again.outbox.notices == {}
