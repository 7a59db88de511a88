"""Whatever a request brings, others get their turn meanwhile, and memory stays small.

Time is CPU time of this process, compared with that of a yardstick measured beside it:
neither depends on how fast the machine is, or on what else it does. A benchmark has the
seconds: ``python -m benchmarks.limits``.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.cli.memory import tune_garbage_collection
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from tests.copies import replace
from tests.core.jobs import BACKUP, at
from tests.examples import examples
from tests.fakes import ManualClock
from tests.fast_path import Door, opened
from tests.hostile import ADDRESSES, EVERYWHERE, SHAPES, heads, request
from tests.hostile.shape import Shape
from tests.http import whole_app
from tests.services import job_config
from tests.test_any_request import UUID

pytestmark = pytest.mark.thorough

#: Requests of any shape to any address.
EXAMPLES: Final = 60

#: The largest body that is taken.
SIZE: Final = 2**20
#: A file is checked in a process of its own, which takes seconds for a large one.
MOST: Final = {"/api/v1/check": 2**13}
#: What one request may add to the memory of the process.
MOST_MEMORY: Final = 50 * 2**20
#: How often a measurement that is too long is repeated: a page fault is nobody's work, and
#: a virtual processor that is taken away for a tenth of a second counts as used. What is
#: really too long is so each time.
TIMES: Final = 20


#: CPU seconds of this process or of one of its threads.
CpuClock = Callable[[], float]


class Cost(NamedTuple):
    """What a request took."""

    #: CPU seconds of the longest time between two turns of the event loop.
    hold: float
    #: Bytes by which the memory of the process grew at most.
    growth: int


class Daemon:
    """A daemon in this process, and what requests to it cost."""

    def __init__(self, file: Path) -> None:
        self._runner = asyncio.Runner()
        self._opening = daemon(file)
        self._door = self._runner.run(self._opening.__aenter__())

    def close(self) -> None:
        self._runner.run(self._opening.__aexit__(None, None, None))
        self._runner.close()

    def cost(self, address: str, kind: str, body: bytes, coding: str = "") -> Cost:
        """Return what *body* costs at most times, the least of what it is measured at."""
        return self.cost_of(request(address, kind, body, coding))

    def cost_of(self, sent: bytes, clock: CpuClock = time.process_time) -> Cost:
        """Return what a request costs at most times, as the bytes that are sent."""
        return self._runner.run(self._cost(sent, clock))

    async def _cost(self, sent: bytes, clock: CpuClock) -> Cost:
        reader, writer = await self._door.connect()
        forget_peak()
        before = memory("VmRSS")
        watch = asyncio.create_task(longest_hold(clock))
        await yield_to_loop()
        with suppress(ConnectionError):
            for at in range(0, len(sent), 2**16):
                writer.write(sent[at : at + 2**16])
                await writer.drain()
            await reader.read()
        watch.cancel()
        hold = await watch
        writer.close()
        return Cost(hold, memory("VmHWM") - before)


@asynccontextmanager
async def daemon(file: Path) -> AsyncIterator[Door]:
    """Yield a daemon with all that it has, and its database in *file*."""
    clock = ManualClock(at("21 12:00"))
    async with SQLiteStore.open(file) as store:
        service = Service(store, clock, job_config(replace(BACKUP, ping_uuid=UUID)))
        await service.start()
        app = whole_app(service, store, clock, SecuritySettings())
        async with opened(service, clock, app=app) as door:
            yield door


async def longest_hold(clock: CpuClock) -> float:
    """Return the longest CPU time between two turns of the event loop, until canceled."""
    longest, last = 0.0, clock()
    try:
        while True:
            await yield_to_loop()
            now = clock()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return longest


def yardstick() -> float:
    """Return ten times the CPU time of work that takes about a hundredth of a second."""
    before = time.process_time()
    found: dict[int, str] = {}
    for number in range(100_000):
        found[number % 1000] = f"{number}"
    return 10 * (time.process_time() - before)


def memory(name: str) -> int:
    """Return a size of this process in bytes; 0 where the system does not tell."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def forget_peak() -> None:
    """Have the peak of memory, VmHWM, start anew."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = Daemon(tmp_path_factory.mktemp("limits") / "afterrun.db")
    thresholds = gc.get_threshold()
    tune_garbage_collection()
    # The first request of a kind imports and compiles things.
    for address in EVERYWHERE:
        running.cost(address, "", b"{}")
    yield running
    running.close()
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def check(
    running: Daemon, address: str, shape: Shape, size: int = SIZE, coding: str = ""
) -> None:
    """Fail if a body holds the loop for too long, or takes too much memory."""
    body = shape.body(min(size, MOST.get(address, size)))
    sent = gzip.compress(body, 1) if coding else body
    for _ in range(TIMES):
        cost = running.cost(address, shape.type, sent, coding)
        if cost.hold < yardstick() and cost.growth < MOST_MEMORY:
            return
    pytest.fail(
        f"{body[:60]!r}..., {len(body)} bytes of {shape.type or 'no type'} to {address}: "
        f"{cost.hold:.3f} s without a turn (a yardstick is {yardstick():.3f} s), "
        f"{cost.growth / 2**20:.0f} MiB of memory"
    )


@pytest.mark.parametrize("kind", ADDRESSES)
def test_no_body_of_a_format_keeps_others_waiting(running: Daemon, kind: str) -> None:
    there = ADDRESSES[kind]
    shapes = [shape for name, shape in SHAPES.items() if name.startswith(f"{kind}: ")]
    # Each file is checked by a program that takes longer to start than to check it.
    some = shapes[::5] if kind == "YAML" else shapes
    for number, shape in enumerate(some):
        check(running, there[number % len(there)], shape)


def test_no_head_keeps_others_waiting(running: Daemon) -> None:
    """No other thread reads a head, so what others of the process do does not count."""
    slow = {}
    for what, sent in heads.requests():
        costs = []
        for _ in range(TIMES):
            cost = running.cost_of(sent, time.thread_time)
            if cost.hold < yardstick() and cost.growth < MOST_MEMORY:
                break
            costs.append(cost)
        else:
            slow[what] = costs

    assert slow == {}


PIECES: Final = st.one_of(
    st.sampled_from([shape.piece for shape in SHAPES.values()]),
    st.binary(min_size=1, max_size=12),
    st.lists(
        st.sampled_from([*"{}[]\":,\\=&%#;+-.'\n\r\t 01ae", "null", "é", "\u2029"]),
        min_size=1,
        max_size=8,
    ).map(lambda letters: "".join(letters).encode()),
)
ENDS: Final = st.one_of(
    st.just(b""),
    st.sampled_from([shape.first for shape in SHAPES.values()]),
    st.sampled_from([shape.last for shape in SHAPES.values()]),
    st.binary(max_size=8),
)
ANY_SHAPE: Final = st.builds(
    Shape,
    type=st.sampled_from(sorted({shape.type for shape in SHAPES.values()})),
    piece=PIECES.map(lambda piece: piece.replace(b"%", b"%%").replace(b"%%d", b"%d")),
    first=ENDS,
    last=ENDS,
)


@settings(max_examples=examples(EXAMPLES))
@given(
    address=st.sampled_from(sorted(EVERYWHERE)),
    shape=st.one_of(st.sampled_from(list(SHAPES.values())), ANY_SHAPE),
    size=st.sampled_from([SIZE, SIZE, SIZE // 2, 60_000]),
    coding=st.sampled_from(["", "", "gzip"]),
)
def test_no_body_at_all_keeps_others_waiting(
    running: Daemon, address: str, shape: Shape, size: int, coding: str
) -> None:
    check(running, address, shape, size, coding)


def test_every_address_that_takes_a_body_is_among_them(running: Daemon) -> None:
    """Those that end in the same handler but for a part of the path are one."""
    there = {
        resource.canonical
        for resource in running._door.app.router.resources()
        if {route.method for route in resource} & {"POST", "PUT"}
    }

    assert set(EVERYWHERE) <= there | {"/{job}{slash}", "/ping/{job}/{signal}{slash}"}
