"""What does a body of 1 MiB cost others, whatever is in it?

Bodies of all formats that make the most work, plain and in gzip, go to a real daemon,
to every address that reads the format: how long each holds the event loop, and what it
adds to the memory. The bars are 100 ms and 50 MiB. What the daemon waits for a processor
that other programs have is not counted: it is not the body's doing. ``python -m benchmarks.limits JSON``
sends those alone whose name has that in it.
"""

from __future__ import annotations

import gzip
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from benchmarks.beats import held_since
from benchmarks.daemon import Daemon, serving
from benchmarks.rounds import table
from tests.hostile import ADDRESSES, OTHERS, SHAPES, request

SIZE: Final = 2**20
#: Seconds, and bytes.
BAR: Final = 0.100
MOST_MEMORY: Final = 50 * 2**20
#: How often a body is sent that takes long at first.
TIMES: Final = 3

CONFIG: Final = """\
jobs:
  backup: {every: 1d, rules: [rows > 0]}
"""

HEAD: Final = ("format", "requests", "event loop held", "by", "memory", "by")


class Cost(NamedTuple):
    """What one body took, and which it was."""

    held: float
    memory: int
    what: str


def main() -> int:
    """Print the table; return 1 when a bar is missed."""
    costs: dict[str, list[Cost]] = {}
    with TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "afterrun.yml").write_text(CONFIG, "utf-8")
        beats = place / "beats"
        with serving(place / "afterrun.yml", place / "db", beats=beats) as daemon:
            for kind, what, sent in requests():
                costs.setdefault(kind, []).append(_cost(daemon, beats, what, sent))
    lines = []
    for kind, found in costs.items():
        slowest = max(found, key=lambda cost: cost.held)
        largest = max(found, key=lambda cost: cost.memory)
        lines.append(
            (
                kind,
                str(len(found)),
                f"{slowest.held * 1000:.0f} ms",
                slowest.what,
                f"{largest.memory / 2**20:.0f} MiB",
                largest.what,
            )
        )
    print(table(HEAD, lines))
    every = [cost for found in costs.values() for cost in found]
    missed = [one for one in every if one.held >= BAR or one.memory >= MOST_MEMORY]
    for one in missed:
        print(
            f"missed: {one.held * 1000:.0f} ms, {one.memory / 2**20:.0f} MiB: {one.what}"
        )
    return int(bool(missed))


def requests() -> Iterator[tuple[str, str, bytes]]:
    """Yield format, description and bytes of each request."""
    only = "".join(sys.argv[1:2])
    for name, shape in SHAPES.items():
        if only not in name:
            continue
        kind = name.partition(":")[0]
        body = shape.body(SIZE)
        there = (*ADDRESSES[kind], *OTHERS) if kind == "JSON" else ADDRESSES[kind]
        for address in there:
            yield kind, f"{name} to {address}", request(address, shape.type, body)
        packed = gzip.compress(body, 1)
        what = f"{name} in gzip to {there[0]}"
        yield kind, what, request(there[0], shape.type, packed, "gzip")


def _cost(daemon: Daemon, beats: Path, what: str, sent: bytes) -> Cost:
    """Return the least that *sent* costs in some tries, if it is much at first."""
    best = Cost(float("inf"), 2**62, what)
    for _ in range(TIMES):
        one = _once(daemon, beats, what, sent)
        best = Cost(min(best.held, one.held), min(best.memory, one.memory), what)
        if best.held < BAR / 2 and best.memory < MOST_MEMORY:
            break
    return best


def _once(daemon: Daemon, beats: Path, what: str, sent: bytes) -> Cost:
    status = Path(f"/proc/{daemon.pid}")
    (status / "clear_refs").write_text("5", "ascii")
    before = _size(status, "VmRSS")
    began = time.perf_counter()
    address = ("127.0.0.1", daemon.port)
    with suppress(ConnectionError), socket.create_connection(address, 60) as connection:
        connection.sendall(sent)
        while connection.recv(2**16):
            pass
    # The beat that comes late is noted when it comes.
    time.sleep(0.01)
    held = max((one.own for one in held_since(beats, began)), default=0.0)
    return Cost(held, _size(status, "VmHWM") - before, what)


def _size(process: Path, name: str) -> int:
    lines = (process / "status").read_text("ascii").splitlines()
    (line,) = (one for one in lines if one.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
