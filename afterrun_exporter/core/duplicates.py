"""Detection of duplicates: reports that repeat earlier ones."""

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
#: are stored separately, and added in front when needed: see `recalled`.
REMEMBERED: Final = 32

#: Maximum of pings without an id to compare with, within `dedup_window`: the number
#: in one batch, all of the same time.
UNNAMED: Final = 10_000

#: Fingerprint, time, and number of the finished run of each.
_UNNAMED: Final = Struct("<8sdq")

#: Key of a run without an id: no repeat has it.
NO_KEY: Final = bytes(KEY_SIZE)

#: Bytes that Python hashes without releasing the interpreter lock. A thread that releases
#: it for each report of a batch delays the event loop: each release restarts the wait of
#: the other thread.
_AT_ONCE: Final = 2047

#: Kinds of reports whose repeats are detected without a run id.
_REPEATED: Final = frozenset({Kind.START, Kind.FINISH})

#: The bit that distinguishes the key of a run that was given up from that of its
#: finish.
_GIVEN_UP: Final = 1


def digest(*parts: bytes) -> bytes:
    """Return a digest of *parts*, the same on any machine."""
    text = b"\0".join(parts)
    hasher = blake2b(digest_size=KEY_SIZE)
    for at in range(0, len(text), _AT_ONCE):
        hasher.update(text[at : at + _AT_ONCE])
    return hasher.digest()


@lru_cache(maxsize=1)
def run_key(run_id: str, attempt: int) -> bytes:
    """Return the key of an attempt of a run, unique among the runs of its job."""
    # Cached, because each report needs it twice.
    return digest(run_id.encode("utf-8", "surrogatepass"), b"%d" % attempt)


class Unnamed(NamedTuple):
    """A start or finish without a run id, kept to detect its repeats."""

    at: float
    #: The number of the finished run; 0 for a start.
    run: int


class OlderRunsNeededError(LookupError):
    """The keys of older runs are needed to distinguish a repeat from a new run."""


def finished_as(state: JobState, run_id: str, attempt: int, settings: Settings) -> int:
    """Return the number of the run that this attempt finished, or 0.

    Raises OlderRunsNeededError.
    """
    return recorded_as(state, run_key(run_id, attempt), settings)


def ended_as(state: JobState, run_id: str, attempt: int, settings: Settings) -> int:
    """Return the number of the run that this attempt finished or was given up as.

    0 if it has not ended. Raises OlderRunsNeededError.
    """
    key = run_key(run_id, attempt)
    return _number_of(state, key, key[-1:] + given_up(key)[-1:], settings)


def recorded_as(state: JobState, key: bytes, settings: Settings) -> int:
    """Return the number of the run with *key*, or 0.

    Raises OlderRunsNeededError.
    """
    return _number_of(state, key, key[-1:], settings)


def contents(ping: Ping) -> bytes:
    """Return a key that is equal for equal reports of the end of a run."""
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
    """Return the key that detects a repeat of the finish of *run*."""
    return NO_KEY if run.run_id is None else run_key(run.run_id, run.attempt)


def given_up(key: bytes) -> bytes:
    """Return the key of a run that was given up: its finish still counts, but no start."""
    return key if key == NO_KEY else key[:-1] + bytes((key[-1] ^ _GIVEN_UP,))


def with_key(keys: bytes, key: bytes, settings: Settings) -> bytes:
    """Return *keys* with the *key* of another run, limited to the number of kept runs."""
    # Runs without an id use no memory if all are without.
    named = key != NO_KEY or keys.strip(NO_KEY[:1])
    limit = max(REMEMBERED, settings.runs_per_job) if named else REMEMBERED
    longer = keys + key
    return longer if len(longer) <= limit * KEY_SIZE else longer[-limit * KEY_SIZE :]


def is_whole(state: JobState, settings: Settings) -> bool:
    """Return True if `run_keys` has the keys of all kept runs."""
    count = len(state.run_keys) // KEY_SIZE
    return not is_partial(state) or count >= settings.runs_per_job


def is_partial(state: JobState) -> bool:
    """Return True if keys of older runs may be stored that are not in `run_keys`."""
    return not state.run_keys_whole and len(state.run_keys) // KEY_SIZE < state.recorded


def with_older_keys(state: JobState, older: bytes, through: int) -> JobState:
    """Return *state* with the keys of all kept runs.

    *older* has the keys of runs up to the number *through*, if they have any.
    """
    if not is_partial(state):
        return state
    begin = state.recorded - len(state.run_keys) // KEY_SIZE
    if older and through < begin:
        older += NO_KEY * (begin - through)
    elif through > begin:
        older = older[: -(through - begin) * KEY_SIZE]
    return replace(state, run_keys=older + state.run_keys, run_keys_whole=True)


def with_keys_of(state: JobState, earlier: JobState | None) -> JobState:
    """Return *state*, just read from the store, with keys of older runs of *earlier*.

    That is the state of the job in memory before, if its keys continue those of *state*.
    """
    if earlier is None:
        return state
    before = state.recorded - len(state.run_keys) // KEY_SIZE
    common = (earlier.recorded - before) * KEY_SIZE
    older = len(earlier.run_keys) - common
    if earlier.recorded > state.recorded or common < 0 or older <= 0:
        return state
    if not state.run_keys.startswith(earlier.run_keys[older:]):
        # It is not an earlier state: the database was restored from a backup.
        return state
    keys = earlier.run_keys[:older] + state.run_keys
    return replace(state, run_keys=keys, run_keys_whole=earlier.run_keys_whole)


def shortened(state: JobState) -> JobState:
    """Return *state* with only the keys that are stored with it."""
    return replace(
        state, run_keys=state.run_keys[-REMEMBERED * KEY_SIZE :], run_keys_whole=False
    )


def _number_of(state: JobState, key: bytes, ends: bytes, settings: Settings) -> int:
    """Return the number of the last run with *key*, whose last byte may be any of *ends*."""
    keys, needle = state.run_keys, key[:-1]
    at = keys.rfind(needle)
    while at >= 0 and (at % KEY_SIZE or keys[at + KEY_SIZE - 1] not in ends):
        at = keys.rfind(needle, 0, at + len(needle) - 1)
    if at >= 0:
        return state.recorded - (len(keys) - at) // KEY_SIZE + 1
    if not is_whole(state, settings):
        raise OlderRunsNeededError
    return 0


def start_of(state: JobState, ping: Ping, settings: Settings) -> int | None:
    """Return the number of the run whose start *ping* repeats, 0 if that is still open.

    None if it is new. Raises OlderRunsNeededError.
    """
    if ping.run_id is None:
        earlier = unnamed_repeat(state, ping, settings)
        return None if earlier is None else earlier.run
    for run in state.open_runs:
        # The start of an attempt is late if another attempt has followed.
        if run.run_id == ping.run_id and run.attempt >= ping.attempt:
            return 0
    return (
        ended_as(state, ping.run_id, ping.attempt, settings)
        or ended_as(state, ping.run_id, ping.attempt + 1, settings)
        or None
    )


def progress_of(state: JobState, ping: Ping, settings: Settings) -> int:
    """Return the number of the run of *ping* if it has finished; otherwise 0.

    Progress that arrives after the end has no effect. Raises OlderRunsNeededError.
    """
    is_open = any(run.run_id == ping.run_id for run in state.open_runs)
    if ping.run_id is None or is_open or ping.adds:
        return 0
    return finished_as(state, ping.run_id, ping.attempt, settings)


def finish_of(state: JobState, ping: Ping, settings: Settings) -> int | None:
    """Return the number of the run whose finish *ping* repeats; None if it is new.

    Raises OlderRunsNeededError.
    """
    if ping.run_id is not None:
        return finished_as(state, ping.run_id, ping.attempt, settings) or None
    earlier = unnamed_repeat(state, ping, settings)
    return None if earlier is None else earlier.run


def unnamed_repeat(state: JobState, ping: Ping, settings: Settings) -> Unnamed | None:
    """Return the earlier ping that *ping*, without a run id, repeats, if any.

    That is an equal one, unless the job has reported anything else in between: fail,
    ok, fail are three runs. The reports of one batch arrive at the same time, and the
    batch may be repeated as a whole.
    """
    pings, mark = state.unnamed_seen, _mark(ping)
    at = pings.rfind(mark)
    while at >= 0 and at % _UNNAMED.size:
        at = pings.rfind(mark, 0, at + KEY_SIZE - 1)
    if at < 0:
        return None
    _, when, run = _UNNAMED.unpack_from(pings, at)
    if abs(ping.at - when) > settings.dedup_window:
        return None
    last = len(pings) - _UNNAMED.size
    _, last_when, _ = _UNNAMED.unpack_from(pings, last)
    same_batch = last_when == when != ping.at
    return Unnamed(when, run) if at == last or same_batch else None


def remember_unnamed(
    state: JobState, ping: Ping, settings: Settings, run: int = 0
) -> bytes:
    """Return the unnamed pings that may still be repeated.

    *ping* is added if it is a start or finish without a run id. Any other ping is added
    as a mark after such a ping, which is not repeated any more then.
    """
    pings, first = state.unnamed_seen, 0
    named = ping.run_id is not None or ping.kind not in _REPEATED
    if named and not pings:
        return pings
    while first < len(pings):
        _, when, _ = _UNNAMED.unpack_from(pings, first)
        if abs(ping.at - when) <= settings.dedup_window:
            break
        first += _UNNAMED.size
    if named:
        if pings.startswith(NO_KEY, len(pings) - _UNNAMED.size):
            pings = pings[: -_UNNAMED.size]
        if first >= len(pings):
            return b""
    mark = NO_KEY if named else _mark(ping)
    longer = pings[first:] + _UNNAMED.pack(mark, ping.at, run)
    return longer[-UNNAMED * _UNNAMED.size :]


def without_future(unnamed: bytes, now: float) -> bytes:
    """Return *unnamed*, the `unnamed_seen` of a state, without pings later than *now*.

    Their real times are unknown: treating new pings as their repeats would lose runs.
    """
    pings = _UNNAMED.iter_unpack(unnamed)
    if all(when <= now for _, when, _ in pings):
        return unnamed
    pings = _UNNAMED.iter_unpack(unnamed)
    return b"".join(_UNNAMED.pack(*one) for one in pings if one[1] <= now)


def without_unnamed(transition: Transition) -> Transition:
    """Return *transition* without the unnamed pings, when another one replaces it."""
    return replace(transition, state=replace(transition.state, unnamed_seen=b""))


def _mark(ping: Ping) -> bytes:
    fingerprint = ping.fingerprint
    return fingerprint if len(fingerprint) == KEY_SIZE else digest(fingerprint)
