"""Settings of the process that keep its memory small and its pauses short."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

from afterrun_exporter import config as configs
from afterrun_exporter.clock import in_background
from afterrun_exporter.engine.periodic import PeriodicTask

#: `M_ARENA_MAX` in glibc's malloc.h.
_ARENA_MAX: Final = -8
#: Seconds between two times that freed memory is given back.
TRIM_EVERY: Final = 60.0
#: That of the main thread, and one for the threads of storage and files.
ARENAS: Final = 2

#: Thresholds of garbage collection: 20,000 new objects, three times as many for the
#: young ones, and five million for all. Each of the first two takes at most 20 ms.
GARBAGE: Final = (20_000, 2, 80)

#: Jobs of a configuration that takes long to collect.
MANY_JOBS: Final = 10_000


def tune_garbage_collection() -> None:
    """Freeze long-lived objects and make garbage collection less frequent.

    Pings create no reference cycles, and many jobs have many long-lived objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


async def freeze_many(config: configs.Config) -> None:
    """Exclude the objects of a large new configuration from later collections.

    A full one would take 0.3 s. Not for small configurations, which may be replaced
    often: reference cycles among frozen objects are never collected.
    """
    if len(config.jobs) >= MANY_JOBS:
        gc.collect(1)
        gc.freeze()
        # A full collection of nothing: the next one is as far away as after a start.
        gc.collect()


def limit_arenas() -> None:
    """Limit the arenas of malloc, before the first thread starts.

    With glibc, each thread gets an arena of its own, up to eight for each processor, and
    what one of them frees is of no use to the others. Other C libraries have nothing to
    limit.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_ARENA_MAX, ARENAS)


def trimming() -> PeriodicTask:
    """Return the task that gives freed memory back to the system.

    Reports and pages of many sizes leave gaps in the memory of malloc: 9 MiB after 20
    minutes of `make soak`.
    """

    async def trim() -> None:
        trim_heap = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim_heap is not None:
            await in_background(trim_heap, 0)

    return PeriodicTask(name="trim", work=trim, every=TRIM_EVERY)
