"""Cronitor's telemetry API."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Kind, Outcome, Ping
from afterrun_exporter.dialects.cronitor.telemetry import ping_of
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client

NOW = at("21 12:00")


def read(*query: tuple[str, str]) -> Ping:
    ping, _ = ping_of("backup", query, NOW, b"", 50)
    return ping


@pytest.mark.parametrize(
    ("state", "kind", "outcome"),
    [
        ("run", Kind.START, Outcome.OK),
        ("complete", Kind.FINISH, Outcome.OK),
        ("ok", Kind.FINISH, Outcome.OK),
        ("tick", Kind.FINISH, Outcome.OK),
        ("fail", Kind.FINISH, Outcome.FAIL),
        ("", Kind.FINISH, Outcome.OK),
        ("COMPLETE", Kind.FINISH, Outcome.OK),
    ],
)
def test_a_state_is_an_event_of_a_run(state: str, kind: Kind, outcome: Outcome) -> None:
    ping = read(("state", state))

    assert (ping.kind, ping.outcome) == (kind, outcome)


def test_what_a_client_measured_arrives() -> None:
    ping = read(
        ("state", "complete"),
        ("series", "1795316454.569499"),
        ("stamp", str(NOW - 1.5)),
        ("metric", "count:4500"),
        ("metric", "rows=12"),
        ("metric", "duration:2.5"),
        ("metric", "error_count:nan"),
        ("metric", "nothing"),
        ("status_code", "0"),
        ("env", "prod"),
        ("host", "db1"),
        ("msg", "done"),
    )

    assert ping.run_id == "1795316454.569499"
    assert ping.ended_at == NOW - 1.5
    assert ping.duration == 2.5
    assert ping.metrics == {"count": 4500.0, "rows": 12.0}
    assert ping.exit_code == 0
    assert ping.metadata == '{"env":"prod","host":"db1"}'
    assert ping.message == "done"


def test_the_stamp_of_a_run_is_its_start() -> None:
    ping = read(("state", "run"), ("stamp", str(NOW - 1)), ("metric", "count:1"))

    assert ping.started_at == NOW - 1
    assert ping.ended_at is None
    assert not ping.metrics


@pytest.mark.parametrize("name", ["stamp", "duration", "status_code"])
@pytest.mark.parametrize("value", ["x", "nan", "inf", "-inf", "1e400", "-1e300", ""])
def test_a_number_that_is_none_is_left_out(name: str, value: str) -> None:
    ping = read((name, value))

    assert (ping.ended_at, ping.duration, ping.exit_code) == (None, None, None)


def test_a_state_that_there_is_not_is_refused() -> None:
    with pytest.raises(PingError, match="unknown state 'dead': use one of run, "):
        read(("state", "dead"))


PARAMETERS = st.lists(
    st.tuples(
        st.sampled_from(["series", "stamp", "metric", "duration", "status_code"])
        | st.sampled_from(["msg", "message", "env", "host", "try", ""])
        | st.text(max_size=9),
        st.text() | st.floats().map(str) | st.from_regex(r"[a-z]*[:=][-0-9.e]*"),
    )
)


@given(PARAMETERS)
def test_no_parameter_but_the_state_loses_a_ping(query: list[tuple[str, str]]) -> None:
    ping = read(*((name, value) for name, value in query if name != "state"))

    assert ping.outcome is Outcome.OK
    ping.message.encode()
    (ping.run_id or "").encode()
    "".join(ping.metrics).encode()


async def get(client: Client, path: str) -> tuple[int, str]:
    response = await client.get(path)
    return response.status, await response.text()


@pytest.mark.parametrize(
    "path",
    [
        "/p/key/backup?state=complete",
        "/p/key/backup/complete",
        "/p/key/backup",
        "/p/key/backup/",
        "/p/key/backup/complete/",
        "/ping/key/backup?state=complete",
        "/ping/key/backup?metric=count:5",
    ],
)
async def test_every_form_of_the_address_is_taken(
    client: Client, store: MemoryStore, service: Service, path: str
) -> None:
    assert await get(client, path) == (200, "OK")
    (run,) = await store.runs("backup", 9)
    assert run.outcome == "violated"  # what its rules are about was not measured
    assert service.pings["cronitor", "accepted"] == 1


async def test_a_run_is_timed_by_its_client(
    client: Client, store: MemoryStore, clock: ManualClock
) -> None:
    began = clock.now() - 100
    await get(client, f"/p/key/job?state=run&series=1&stamp={began}")
    await get(client, f"/p/key/job?state=complete&series=1&stamp={began + 60}")

    (run,) = await store.runs("job", 9)
    assert run.started_at == began
    assert run.duration == 60


async def test_a_retry_changes_nothing_but_its_number(
    client: Client, store: MemoryStore
) -> None:
    for number in (1, 2, 3):
        path = f"/p/key/job?state=tick&stamp=1795316454.5&try={number}"
        assert await get(client, path) == (200, "OK")

    assert len(await store.runs("job", 9)) == 1


async def test_what_a_name_may_not_have_becomes_dashes(
    client: Client, service: Service
) -> None:
    await get(client, "/p/key/Nightly%20backup?state=run")

    assert service.job("Nightly-backup") is not None


async def test_an_unknown_state_of_a_known_job_is_recorded(
    client: Client, store: MemoryStore, service: Service
) -> None:
    status, _ = await get(client, "/p/key/backup?state=dead")

    assert status == 400
    (run,) = await store.runs("backup", 9)
    assert run.outcome == "invalid"
    assert service.pings["cronitor", "accepted"] == 1


async def test_head_counts_and_options_does_not(
    client: Client, store: MemoryStore
) -> None:
    assert (await client.head("/p/key/job?state=ok")).status == 200
    assert (await client.options("/p/key/job?state=ok")).status == 405

    assert len(await store.runs("job", 9)) == 1
