"""Recognising a report that was sent twice."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from msgspec.structs import replace

from afterrun_exporter.core.model import Kind, Ping, Run, Settings
from afterrun_exporter.core.state import JobState, Transition

KEY_SIZE: Final = 8

#: Keys of finished runs that are stored with the state of a job. Those of older runs
#: are stored beside it, and put before them when they are needed: see `recalled`.
REMEMBERED: Final = 32

#: Pings without an id that a repeat is looked for among, within `dedup_window`: as many
#: as one batch may hold, all of the same moment.
UNNAMED: Final = 10_000

#: Of each its fingerprint, its time, and the number of the run that it finished.
_UNNAMED: Final = Struct("<8sdq")

#: In place of the key of a run without an id: no repeat has it.
NO_KEY: Final = bytes(KEY_SIZE)

#: Kinds of reports of which a second one is recognised without a run id.
_REPEATED: Final = frozenset({Kind.START, Kind.FINISH})

#: The bit in which the key of a run that was given up differs from that of its finish.
_GIVEN_UP: Final = 1


def digest(*parts: bytes) -> bytes:
    """Return `KEY_SIZE` bytes that are equal for equal *parts*, on any machine."""
    return blake2b(b"\0".join(parts), digest_size=KEY_SIZE).digest()


@lru_cache(maxsize=1)
def run_key(run_id: str, attempt: int) -> bytes:
    """Return what identifies an attempt of a run among the runs of its job."""
    # A report asks twice: whether it is a repeat, and for what repeats of it have.
    return digest(run_id.encode("utf-8", "surrogatepass"), b"%d" % attempt)


class Unnamed(NamedTuple):
    """A start or finish without a run id, by which a repeat is recognised."""

    at: float
    #: The number of the run it finished; 0 for a start.
    run: int


class OlderRunsNeededError(LookupError):
    """Raised where only the keys of older runs can tell a repeat from a new run."""


def finished_as(state: JobState, run_id: str, attempt: int, settings: Settings) -> int:
    """Return the number of the run that this attempt finished, or 0.

    Raises OlderRunsNeededError.
    """
    return recorded_as(state, run_key(run_id, attempt), settings)


def ended_as(state: JobState, run_id: str, attempt: int, settings: Settings) -> int:
    """Return the number of the run that this attempt finished or was given up as.

    0 where it has not ended. Raises OlderRunsNeededError.
    """
    key = run_key(run_id, attempt)
    return _number_of(state, key, key[-1:] + given_up(key)[-1:], settings)


def recorded_as(state: JobState, key: bytes, settings: Settings) -> int:
    """Return the number of the run that is remembered by *key*, or 0.

    Raises OlderRunsNeededError.
    """
    return _number_of(state, key, key[-1:], settings)


def contents(ping: Ping) -> bytes:
    """Return a key that is equal for two reports of the end of a run that say the same."""
    fields = (
        ping.outcome,
        ping.started_at,
        ping.ended_at,
        ping.duration,
        ping.exit_code,
        ping.message,
        ping.metadata,
        sorted(ping.metrics.items()),
    )
    return digest(json.dumps(fields).encode())


def key_of(run: Run | Ping) -> bytes:
    """Return the key by which a repeat of the finish of *run* is recognised."""
    return NO_KEY if run.run_id is None else run_key(run.run_id, run.attempt)


def given_up(key: bytes) -> bytes:
    """Return the key of a run that was given up: its finish still counts, no start does."""
    return key if key == NO_KEY else key[:-1] + bytes((key[-1] ^ _GIVEN_UP,))


def remembered(seen: bytes, key: bytes, settings: Settings) -> bytes:
    """Return *seen* with the *key* of one more run, and of no more than are kept."""
    # Runs without an id take no memory where there are no others.
    named = key != NO_KEY or seen.strip(NO_KEY[:1])
    most = max(REMEMBERED, settings.runs_per_job) if named else REMEMBERED
    longer = seen + key
    return longer if len(longer) <= most * KEY_SIZE else longer[-most * KEY_SIZE :]


def is_whole(state: JobState, settings: Settings) -> bool:
    """Return True if the keys of all runs that are kept are in `seen`."""
    known = len(state.seen) // KEY_SIZE
    return not is_partial(state) or known >= settings.runs_per_job


def is_partial(state: JobState) -> bool:
    """Return True if the keys of older runs may be stored that are not in `seen`."""
    return not state.seen_whole and len(state.seen) // KEY_SIZE < state.recorded


def recalled(state: JobState, older: bytes, through: int) -> JobState:
    """Return *state* with the keys of all runs that are kept.

    *older* are the keys of the runs up to the number *through*, where they have any.
    """
    if not is_partial(state):
        return state
    begin = state.recorded - len(state.seen) // KEY_SIZE
    if older and through < begin:
        older += NO_KEY * (begin - through)
    elif through > begin:
        older = older[: -(through - begin) * KEY_SIZE]
    return replace(state, seen=older + state.seen, seen_whole=True)


def shortened(state: JobState) -> JobState:
    """Return *state* with no more keys than are stored with it."""
    return replace(state, seen=state.seen[-REMEMBERED * KEY_SIZE :], seen_whole=False)


def _number_of(state: JobState, key: bytes, ends: bytes, settings: Settings) -> int:
    """Return the number of the last run with *key*, but for its last byte: one of *ends*."""
    seen, needle = state.seen, key[:-1]
    at = seen.rfind(needle)
    while at >= 0 and (at % KEY_SIZE or seen[at + KEY_SIZE - 1] not in ends):
        at = seen.rfind(needle, 0, at + len(needle) - 1)
    if at >= 0:
        return state.recorded - (len(seen) - at) // KEY_SIZE + 1
    if not is_whole(state, settings):
        raise OlderRunsNeededError
    return 0


def start_of(state: JobState, ping: Ping, settings: Settings) -> int | None:
    """Return the number of the run whose start *ping* repeats, 0 where it goes on.

    None where it is new. Raises OlderRunsNeededError.
    """
    if ping.run_id is None:
        earlier = unnamed_repeat(state, ping, settings)
        return None if earlier is None else earlier.run
    for run in state.open_runs:
        # A start of an attempt that another attempt has followed is late.
        if run.run_id == ping.run_id and run.attempt >= ping.attempt:
            return 0
    return (
        ended_as(state, ping.run_id, ping.attempt, settings)
        or ended_as(state, ping.run_id, ping.attempt + 1, settings)
        or None
    )


def progress_of(state: JobState, ping: Ping, settings: Settings) -> int:
    """Return the number of the run that *ping* is about, if it has finished; or 0.

    What a run reported before its end is no news after it. Raises OlderRunsNeededError.
    """
    is_open = any(run.run_id == ping.run_id for run in state.open_runs)
    if ping.run_id is None or is_open or ping.adds:
        return 0
    return finished_as(state, ping.run_id, ping.attempt, settings)


def finish_of(state: JobState, ping: Ping, settings: Settings) -> int | None:
    """Return the number of the run whose finish *ping* repeats; None where it is new.

    Raises OlderRunsNeededError.
    """
    if ping.run_id is not None:
        return finished_as(state, ping.run_id, ping.attempt, settings) or None
    earlier = unnamed_repeat(state, ping, settings)
    return None if earlier is None else earlier.run


def unnamed_repeat(state: JobState, ping: Ping, settings: Settings) -> Unnamed | None:
    """Return the earlier ping that one without a run id repeats, if any.

    That is an identical one, unless the job has reported anything else in between:
    fail, ok, fail are three runs. The reports of one batch arrive at one moment, and
    the batch may be sent again as a whole.
    """
    known, mark = state.unnamed_seen, _mark(ping)
    at = known.rfind(mark)
    while at >= 0 and at % _UNNAMED.size:
        at = known.rfind(mark, 0, at + KEY_SIZE - 1)
    if at < 0:
        return None
    _, when, run = _UNNAMED.unpack_from(known, at)
    if abs(ping.at - when) > settings.dedup_window:
        return None
    last = len(known) - _UNNAMED.size
    _, last_when, _ = _UNNAMED.unpack_from(known, last)
    same_batch = last_when == when != ping.at
    return Unnamed(when, run) if at == last or same_batch else None


def remember_unnamed(
    state: JobState, ping: Ping, settings: Settings, run: int = 0
) -> bytes:
    """Return the unnamed pings that a repeat may follow from now on.

    *ping* is among them where it is a start or finish without a run id. Any other one
    is noted where it comes after such a ping, which is then not repeated any more.
    """
    known, first = state.unnamed_seen, 0
    named = ping.run_id is not None or ping.kind not in _REPEATED
    if named and not known:
        return known
    while first < len(known):
        _, when, _ = _UNNAMED.unpack_from(known, first)
        if abs(ping.at - when) <= settings.dedup_window:
            break
        first += _UNNAMED.size
    if named:
        if known.startswith(NO_KEY, len(known) - _UNNAMED.size):
            known = known[: -_UNNAMED.size]
        if first >= len(known):
            return b""
    mark = NO_KEY if named else _mark(ping)
    longer = known[first:] + _UNNAMED.pack(mark, ping.at, run)
    return longer[-UNNAMED * _UNNAMED.size :]


def without_future(unnamed: bytes, now: float) -> bytes:
    """Return *unnamed*, the `unnamed_seen` of a state, without pings later than *now*.

    When they came is not known any more: taking new ones for their repeats would lose
    runs.
    """
    known = _UNNAMED.iter_unpack(unnamed)
    if all(when <= now for _, when, _ in known):
        return unnamed
    known = _UNNAMED.iter_unpack(unnamed)
    return b"".join(_UNNAMED.pack(*one) for one in known if one[1] <= now)


def without_unnamed(made: Transition) -> Transition:
    """Return *made* without the unnamed pings of its state, which another one replaces."""
    return replace(made, state=replace(made.state, unnamed_seen=b""))


def _mark(ping: Ping) -> bytes:
    fingerprint = ping.fingerprint
    return fingerprint if len(fingerprint) == KEY_SIZE else digest(fingerprint)
