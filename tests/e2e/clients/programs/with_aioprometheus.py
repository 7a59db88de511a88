"""aioprometheus pushes as Prometheus's manual advises: last success if it was one."""

from __future__ import annotations

import asyncio
import time

from aioprometheus import REGISTRY, Gauge
from aioprometheus.pusher import Pusher
from job import url, work

duration = Gauge("nightly_duration_seconds", "How long it took.")
success = Gauge("nightly_last_success_unixtime", "When it last went well.")


async def main() -> None:
    failure = None
    started = time.time()
    try:
        work()
        success.set({}, time.time())
    except OSError as error:
        failure = error
    duration.set({}, time.time() - started)
    answer = await Pusher("aioprometheus", url).add(REGISTRY)
    assert answer.status == 200
    if failure:
        raise failure


asyncio.run(main())
