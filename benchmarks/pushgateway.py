"""Prometheus' Pushgateway, as Debian ships it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvloop

from benchmarks.daemon import Daemon, free_port, running
from benchmarks.machine import for_servers

#: Samples that it adds to each group by itself: when it was pushed last, and when
#: that failed last.
OWN_SAMPLES: Final = 2

#: What load.lua pushes.
_PUSHED: Final = ("rows_processed", "file_size_bytes", "error_ratio")
_HOST: Final = "127.0.0.1"
_CONNECTIONS: Final = 8


@contextmanager
def pushgateway(*, checking: bool) -> Iterator[Daemon]:
    """Run one on the core of the servers, keeping nothing on disk; stop it in the end.

    It is as it comes where it is *checking* each push for consistency.
    """
    names = ("prometheus-pushgateway", "pushgateway")
    program = next(filter(None, map(shutil.which, names)), names[0])
    port = free_port()
    command = [
        program,
        f"--web.listen-address={_HOST}:{port}",
        # Debian's default is a file, which it would also read at the start.
        "--persistence.file=",
        "--log.level=error",
    ]
    if not checking:
        command.append("--push.disable-consistency-check")
    with running(for_servers(*command), port) as server:
        yield server


def fill(server: Daemon, groups: int, gauges: int = len(_PUSHED)) -> None:
    """Push so many gauges to each group, those that load.lua pushes first."""
    uvloop.run(_fill(server.port, groups, gauges))


async def _fill(port: int, groups: int, gauges: int) -> None:
    others = (f"other_{n:03d}" for n in range(gauges - len(_PUSHED)))
    names = [*_PUSHED, *others]
    numbers = iter(range(groups))

    async def work() -> None:
        reader, writer = await asyncio.open_connection(_HOST, port)
        for number in numbers:
            lines = (f"# TYPE {name} gauge\n{name} {number}.5\n" for name in names)
            body = "".join(lines).encode()
            writer.write(
                b"PUT /metrics/job/job-%06d HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (number, len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 202 ")):
                raise RuntimeError(f"a push was answered {head!r}")
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))
