"""Is this afterrun.yml right? Asked of a daemon that must not come to harm by it."""

from __future__ import annotations

import asyncio
import sys
from signal import SIGKILL
from typing import Final

from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.api.handlers import Act, ApiRequest
from afterrun_exporter.clock import Clock
from afterrun_exporter.config import checker
from afterrun_exporter.errors import RequestError

#: Checks that go on at once; others wait for them.
AT_ONCE: Final = 2
#: Seconds, whatever else the machine does.
PATIENCE: Final = 3.0 * checker.PATIENCE

TOO_LONG: Final = (
    "checking this takes too long: send less of it, or run `afterrun check` where the "
    "file is"
)


def check(
    clock: Clock,
) -> Act[request_models.NoQuery, request_models.Document, response_models.Checked]:
    """Return what checks a configuration, in a process of its own."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.Document],
    ) -> response_models.Checked:
        async with turns:
            said = await _checked(asked.body.config, clock.now())
        return response_models.Checked.model_validate_json(said)

    return act


async def _checked(text: str, now: float) -> bytes:
    program = ("-P", "-m", checker.__name__, repr(now))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate(text.encode("utf-8", "surrogatepass"))
    except TimeoutError:
        raise RequestError(TOO_LONG) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == -SIGKILL:
        raise RequestError(TOO_LONG)
    if process.returncode:
        # Its own words are in our log, for it has our stderr.
        raise RuntimeError(f"the program that checks ended with {process.returncode}")
    return said
