"""Recognising a report that was sent twice."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final

from afterrun_exporter.core.model import Ping, Settings
from afterrun_exporter.core.state import JobState, Unnamed

KEY_SIZE: Final = 8

#: How many finished runs of a job a repeat is looked for among.
REMEMBERED: Final = 32

#: The same for pings without an id, within `dedup_window`: a batch may hold
#: thousands, all of the same moment.
UNNAMED: Final = 256

#: In place of the key of a run without an id: no repeat has it.
NO_KEY: Final = bytes(KEY_SIZE)


def digest(*parts: bytes) -> bytes:
    """Return `KEY_SIZE` bytes that are equal for equal *parts*, on any machine."""
    return blake2b(b"\0".join(parts), digest_size=KEY_SIZE).digest()


@lru_cache(maxsize=1)
def run_key(run_id: str, attempt: int) -> bytes:
    """Return what identifies an attempt of a run among the runs of its job."""
    # A report asks twice: whether it is a repeat, and for what repeats of it have.
    return digest(run_id.encode("utf-8", "surrogatepass"), b"%d" % attempt)


def finished_as(state: JobState, run_id: str, attempt: int) -> int:
    """Return the number of the run that this attempt finished, or 0."""
    key, seen = run_key(run_id, attempt), state.seen
    at = seen.rfind(key)
    while at > 0 and at % KEY_SIZE:
        at = seen.rfind(key, 0, at + KEY_SIZE - 1)
    if at < 0:
        return 0
    return state.recorded - (len(seen) - at) // KEY_SIZE + 1


def remember_run(seen: bytes, run_id: str | None, attempt: int) -> bytes:
    """Return *seen* with one more finished run, forgetting the oldest."""
    key = NO_KEY if run_id is None else run_key(run_id, attempt)
    return (seen + key)[-REMEMBERED * KEY_SIZE :]


def unnamed_repeat(state: JobState, ping: Ping, settings: Settings) -> Unnamed | None:
    """Return the earlier ping that one without a run id is identical to, if any."""
    for earlier in state.unnamed:
        near = abs(ping.at - earlier.at) <= settings.dedup_window
        if near and earlier.fingerprint == ping.fingerprint:
            return earlier
    return None


def remember_unnamed(
    state: JobState, ping: Ping, settings: Settings, run: int
) -> tuple[Unnamed, ...]:
    """Return the unnamed pings that matter from now on, *ping* among them."""
    fresh = tuple(
        earlier
        for earlier in state.unnamed
        if abs(ping.at - earlier.at) <= settings.dedup_window
    )
    return (*fresh, Unnamed(ping.fingerprint, ping.at, run))[-UNNAMED:]
