"""Check-ins of Sentry Crons."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.config.loading import parse
from afterrun_exporter.core.model import Kind, Outcome
from afterrun_exporter.dialects.sentry.check_ins import ping_of, read_envelope
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError
from tests.core.jobs import BACKUP, at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import job_config

NOW = at("21 12:00")
ID = "1f2e3d4c5b6a79880123456789abcdef"


def check_in(**more: Any) -> dict[str, Any]:
    return {"monitor_slug": "job", "status": "ok", "check_in_id": ID, **more}


def envelope(*items: dict[str, Any], kind: str = "check_in") -> bytes:
    lines = [b'{"event_id": "abc"}']
    for item in items:
        content = json.dumps(item).encode()
        lines += [b'{"type": "%s", "length": %d}' % (kind.encode(), len(content))]
        lines += [content]
    return b"\n".join(lines)


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        ("in_progress", Kind.START, Outcome.OK),
        ("ok", Kind.FINISH, Outcome.OK),
        ("error", Kind.FINISH, Outcome.FAIL),
        ("timeout", Kind.FINISH, Outcome.TIMEOUT),
    ],
)
def test_a_status_is_an_event_of_a_run(
    status: str, kind: Kind, outcome: Outcome
) -> None:
    ping = ping_of(check_in(status=status, duration=1.5), NOW, b"")

    assert (ping.kind, ping.outcome) == (kind, outcome)
    assert ping.duration == (None if kind is Kind.START else 1.5)


@pytest.mark.parametrize(
    ("given_id", "run_id"),
    [
        (ID, ID),
        (str(UUID(ID)), ID),
        (str(UUID(ID)).upper(), ID),
        ("0" * 32, None),
        ("", None),
        (None, None),
        ("not an id", None),
        (7, None),
    ],
)
def test_a_check_in_has_one_id_in_many_spellings(
    given_id: object, run_id: str | None
) -> None:
    assert ping_of(check_in(check_in_id=given_id), NOW, b"").run_id == run_id


@pytest.mark.parametrize(
    ("slug", "environment", "job"),
    [
        ("backup", None, "backup"),
        ("backup", "production", "backup"),
        ("backup", "", "backup"),
        ("backup", "dev", "backup:dev"),
        ("nightly backup", "a/b", "nightly-backup:a-b"),
        ("x" * 60, None, "x" * 50),
    ],
)
def test_each_environment_of_a_monitor_is_a_job(
    slug: str, environment: str | None, job: str
) -> None:
    told = check_in(monitor_slug=slug, environment=environment)

    assert ping_of(told, NOW, b"").job == job


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"monitor_slug": ""}, "monitor_slug is missing"),
        ({"monitor_slug": None}, "monitor_slug is missing"),
        ({"monitor_slug": "///"}, "cannot be the name of a job"),
        ({"environment": "x" * 65}, "environment has 65 characters"),
        ({"status": "missed"}, "unknown status 'missed': use one of in_progress, ok"),
        ({"status": None}, "unknown status"),
    ],
)
def test_a_check_in_that_cannot_be_meant_is_refused(
    more: dict[str, Any], message: str
) -> None:
    with pytest.raises(PingError, match=message):
        ping_of(check_in(**more), NOW, b"")


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (1.5, 1.5),
        ("2.5", 2.5),
        (0, 0),
        (-1, None),
        ("x", None),
        ("nan", None),
        (True, None),
        (1e300, None),
        (None, None),
        ([], None),
    ],
)
def test_a_duration_that_is_none_is_left_out(
    duration: object, seconds: float | None
) -> None:
    assert ping_of(check_in(duration=duration), NOW, b"").duration == seconds


ENVELOPES = {
    "with lengths": envelope(check_in(), check_in(status="error")),
    "without": b'{}\n{"type":"check_in"}\n{"status":"ok"}\n{"type":"check_in"}\n{"a":1}\n',
    "with blank lines": b'{}\n\n{"type":"check_in"}\n{"a":1}\n\n{"type":"check_in"}\n{"a":2}',
    "with others between": b'{}\n{"type":"event","length":3}\n{}\n\n'
    b'{"type":"check_in"}\n{"a":1}\n{"type":"session"}\nx\n{"type":"check_in"}\n{"a":1}',
    "with rubbish behind": envelope(check_in(), check_in()) + b"\nrubbish",
    "with one that is no JSON": b'{}\n{"type":"check_in"}\nx\n'
    + envelope(check_in(), check_in()).partition(b"\n")[2],
}


@pytest.mark.parametrize("body", ENVELOPES.values(), ids=ENVELOPES)
async def test_the_check_ins_of_an_envelope_are_found(body: bytes) -> None:
    _, check_ins = await read_envelope(body)
    assert len(check_ins) == 2


@given(st.binary())
async def test_no_envelope_raises_but_for_its_header(body: bytes) -> None:
    try:
        await read_envelope(body)
    except PingError as error:
        assert "begins with a line" in str(error)  # noqa: PT017


@given(
    st.lists(st.dictionaries(st.text(), st.text(), min_size=1)),
    st.binary(),
)
async def test_what_stands_behind_check_ins_loses_none(
    items: list[dict[str, str]], rest: bytes
) -> None:
    _, check_ins = await read_envelope(envelope(*items) + b"\n" + rest)

    assert [one.fields for one in check_ins][: len(items)] == items


class Watched(bytes):
    """A body that counts what is read of it, byte by byte."""

    copied = 0

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        self.copied += len(found) if isinstance(found, bytes) else 1
        return found

    def _not_whole(self, *_: object) -> Any:
        raise AssertionError("all the rest is read, or copied")

    strip = lstrip = rstrip = partition = rpartition = _not_whole
    split = rsplit = splitlines = _not_whole  # type: ignore[assignment]


@pytest.mark.parametrize(
    "items",
    [b'{"a":1}\n\n', b'{"type":"event","length":2}\n{}\n', b"\r\n", b'{"a":1}\n'],
)
async def test_an_envelope_is_read_once_however_many_items_it_has(
    items: bytes,
) -> None:
    body = Watched(b"{}\n" + items * 1000)
    await read_envelope(body)

    assert body.copied <= len(body)


@pytest.mark.usefixtures("long_items")
async def test_others_get_their_turn_while_an_envelope_is_read() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await yield_to_loop()
            turns += 1

    others = asyncio.create_task(count())
    await read_envelope(b"{}\n" + b'{"a":1}\n\n' * 2_000)
    others.cancel()

    assert turns > 10


@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 400), (5000, 400)])
async def test_an_envelope_may_have_so_many_check_ins(
    client: Client, store: MemoryStore, service: Service, count: int, status: int
) -> None:
    """Whoever sends more is told so, and may send them all again."""
    body = envelope(
        *(check_in(check_in_id=f"{one:032x}") for one in range(1, count + 1))
    )
    response = await client.post("/api/42/envelope/", data=body)

    assert response.status == status
    accepted = count if status == 200 else 0
    assert len(await store.runs("job", 999)) == accepted
    assert service.pings["sentry", "rejected"] == (status != 200)
    if not accepted:
        detail = (await response.json())["detail"]
        assert detail.startswith("the envelope has more than 100 check-ins: nothing")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["monitor_slug", "status", "check_in_id", "duration", "environment", "release"]
)


@given(st.dictionaries(NAMES, JSON))
def test_a_check_in_is_a_ping_or_refused(told: dict[str, Any]) -> None:
    try:
        ping = ping_of(told, NOW, b"")
    except PingError:
        return
    (ping.job + ping.metadata + (ping.run_id or "")).encode()


async def test_a_run_by_url(
    client: Client, store: MemoryStore, clock: ManualClock
) -> None:
    path = f"/api/42/cron/job/KEY?check_in_id={ID}&status="
    assert (await client.get(f"{path}in_progress")).status == 202
    clock.show(clock.now() + 90)
    response = await client.post(f"{path}ok")

    assert (response.status, await response.read()) == (202, b"")
    (run,) = await store.runs("job", 9)
    assert (run.outcome, run.duration) == ("ok", 90)


@pytest.mark.parametrize("path", ["job", "job/", "job/KEY", "job/KEY/"])
async def test_every_form_of_the_url_is_taken(
    client: Client, store: MemoryStore, path: str
) -> None:
    assert (await client.get(f"/api/1/cron/{path}?status=ok")).status == 202
    assert (await client.post(f"/api/1/cron/{path}", json={"status": "error"})).ok
    assert (await client.options(f"/api/1/cron/{path}?status=ok")).status == 405

    assert len(await store.runs("job", 9)) == 2


LIMIT = "jobs: {job: {max_runtime: 30m}}"
SHORTER = "defaults: {max_runtime: 10m, heartbeat: 5m}"


@pytest.mark.parametrize(
    ("file", "config", "silent_after"),
    [
        # What a client says of its monitor means what it means to Sentry: the limit
        # begins anew with each check-in, and no default of ours cuts it short.
        ("{}", {"max_runtime": 30}, None),
        (SHORTER, {"max_runtime": 30}, None),
        # afterrun.yml means the total, whatever is sent.
        (LIMIT, {}, 2),
        (LIMIT, {"max_runtime": 60}, 2),
        (SHORTER, {"checkin_margin": 5}, 1),
        ("{}", {}, None),
    ],
)
async def test_a_check_in_that_goes_on_has_the_time_that_its_client_expects(
    file: str,
    config: dict[str, Any],
    silent_after: int | None,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> None:
    """It is in progress for 80 minutes, and says so every 20."""
    service = Service(store, clock, parse(file).job_config)
    await service.start()
    client = await aiohttp_client(app_of(service, clock))

    async def after(minutes: int) -> list[str]:
        clock.show(clock.now() + minutes * 60)
        await service.sweep()
        return [alert.key.condition for alert in store.states["job"].alerts]

    for turn in range(1, 5):
        body = envelope(check_in(status="in_progress", monitor_config=config))
        assert (await client.post("/api/42/envelope/", data=body)).status == 200
        overrunning = silent_after is not None and turn >= silent_after
        assert await after(20) == ["overrunning"] * overrunning

    limited = bool(config.get("max_runtime")) or silent_after is not None
    assert await after(11) == ["overrunning"] * limited
    assert service.pings["sentry", "duplicate"] == 0


async def test_an_envelope_is_one_transaction(
    client: Client, store: MemoryStore
) -> None:
    body = envelope(
        check_in(status="in_progress"), check_in(), check_in(monitor_slug="other")
    )
    response = await client.post(
        "/api/42/envelope/",
        data=gzip.compress(body),
        headers={"Content-Encoding": "gzip"},
    )

    assert (response.status, await response.json()) == (200, {"id": "abc"})
    assert len(await store.runs("job", 9)) == len(await store.runs("other", 9)) == 1


async def test_the_second_end_of_a_check_in_changes_nothing(
    client: Client, store: MemoryStore
) -> None:
    for status in ("in_progress", "ok", "error", "in_progress", "ok"):
        body = envelope(check_in(status=status))
        assert (await client.post("/api/42/envelope/", data=body)).status == 200

    (run,) = await store.runs("job", 9)
    assert run.outcome == "ok"


@pytest.mark.parametrize("kind", ["event", "transaction", "client_report", "session"])
async def test_what_is_not_ours_is_accepted_and_ignored(
    client: Client, service: Service, kind: str
) -> None:
    body = envelope(check_in(), kind=kind)
    response = await client.post("/api/42/envelope/", data=body)

    assert response.status == 200
    assert not service.pings


async def test_a_bad_check_in_of_a_known_job_is_recorded(
    client: Client, store: MemoryStore
) -> None:
    response = await client.get("/api/42/cron/backup?status=missed")

    assert response.status == 400
    assert "unknown status 'missed'" in (await response.json())["detail"]
    (run,) = await store.runs("backup", 9)
    assert run.outcome == "invalid"


async def test_errors_are_told_as_sentry_tells_them(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    service = Service(store, clock, job_config(BACKUP, unknown=None, body_bytes=100))
    client = await aiohttp_client(app_of(service, clock))
    for path, body, status in (
        ("cron/nobody?status=ok", b"", 404),
        ("envelope/", b"no JSON", 400),
        ("envelope/", b"{}" + b" " * 100, 413),
    ):
        response = await client.post(f"/api/42/{path}", data=body)
        assert response.status == status
        assert set(await response.json()) == {"detail"}
