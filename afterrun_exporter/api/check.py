"""Checking a configuration that a client sends, in a separate process."""

from __future__ import annotations

import asyncio
import sys
from signal import SIGKILL
from typing import Final

from afterrun_exporter.api import response_models
from afterrun_exporter.api.handlers import ApiRequest
from afterrun_exporter.api.request_models import Document, NoQuery
from afterrun_exporter.clock import Clock
from afterrun_exporter.config import checker
from afterrun_exporter.errors import RequestError

#: Number of checks that run at the same time; more wait.
AT_ONCE: Final = 2
#: Timeout in seconds, for where the CPU time of a check cannot be limited. The process
#: has a low priority: beside busy programs it may get a fortieth of a core.
PATIENCE: Final = 40.0 * checker.PATIENCE

TOO_LONG: Final = (
    "the check took too long: send a smaller file, or run `afterrun check` next to "
    "the file"
)


async def check(
    clock: Clock, turns: asyncio.Semaphore, request: ApiRequest[NoQuery, Document]
) -> response_models.Checked:
    """Check the configuration in *request*, when it is its turn."""
    async with turns:
        result = await _checked(request.body.config, clock.now())
    return response_models.Checked.model_validate_json(result)


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
            result, _ = await process.communicate(text.encode("utf-8", "surrogatepass"))
    except TimeoutError:
        raise RequestError(TOO_LONG) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == -SIGKILL:
        raise RequestError(TOO_LONG)
    if process.returncode:
        # The process shares stderr, so its messages are in the log.
        raise RuntimeError(f"the checker exited with status {process.returncode}")
    return result
