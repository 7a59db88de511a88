"""What is named like a secret is not kept with a run, whichever way it came."""

from __future__ import annotations

import pytest

from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import Door, opened

HIDDEN = "MarkedSecret"
WAYS = {
    "query": (f"/ping/backup?token={HIDDEN}", ""),
    "form": ("/ping/backup", f"rows=1&api_key={HIDDEN}"),
    "JSON": ("/ping/backup", f'{{"Password": "{HIDDEN}"}}'),
    "metadata": ("/ping/backup", f'{{"metadata": {{"token": "{HIDDEN}", "a": 1}}}}'),
    "metadata of a batch": (
        "/ping",
        f'{{"job": "backup", "run_id": "1", "metadata": {{"secret": "{HIDDEN}"}}}}',
    ),
    "deep in a secret": (
        "/ping/backup",
        f'{{"metadata": {{"authorization": {{"a": ["{HIDDEN}"]}}}}}}',
    ),
    "a record": ("/runs", f'{{"job_id": "backup", "status": "ok", "pwd": "{HIDDEN}"}}'),
}


@pytest.mark.parametrize(("path", "body"), WAYS.values(), ids=WAYS)
async def test_its_value_is_left_out_with_a_warning(
    service: Service, clock: ManualClock, store: MemoryStore, path: str, body: str
) -> None:
    async with opened(service, clock) as door:
        answer = await sent(door, path, body)

    (run,) = await store.runs("backup", 9)
    assert HIDDEN not in repr(run)
    assert HIDDEN not in answer
    assert "not kept, for it may be a secret" in answer


async def test_what_stands_beside_it_is_kept(
    service: Service, clock: ManualClock, store: MemoryStore
) -> None:
    async with opened(service, clock) as door:
        await sent(door, *WAYS["metadata"])

    (run,) = await store.runs("backup", 9)
    assert run.metadata == '{"token": "***", "a": 1}'


async def sent(door: Door, path: str, body: str) -> str:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    status, _, answer = await door.answer((head + body).encode())
    assert status == "HTTP/1.1 200 OK"
    return answer.decode()
