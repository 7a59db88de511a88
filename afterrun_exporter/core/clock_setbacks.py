"""Times of a state that are in the future, because the clock was set back.

A state must not keep any: the job would be silent until that time. All are set to now,
regardless of their source and distance. Times that are intended to be in the future
stay: `paused_until`, `test_until`, `Retry.until`, `RecentlyResolved.until`,
`HungRun.held_until`, `success_until`, `ratio_until`. None of them is further ahead than
intended.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import attrgetter, le
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from afterrun_exporter.core import history as windows
from afterrun_exporter.core.duplicates import without_future
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.run_limits import CLOSE_BEHIND
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.core.state import (
    AlertMoved,
    EndedAlert,
    HungRun,
    JobState,
    OpenAlert,
    OpenRun,
    Retry,
    UnobservedSlots,
)
from afterrun_exporter.core.windows import History

T = TypeVar("T", bound=Struct)

#: Times of a state that are never after the time of their recording.
INSTANTS: Final = (
    "created_at",
    "missed_through",
    "unobserved_through",
    "last_ping_at",
    "last_start_at",
    "last_finish_at",
    "last_success_at",
    "last_failure_at",
    "last_judged_at",
    "upstream_healed_at",
    "paused_at",
    "test_asked_at",
)

#: `due_after` can be in the future correctly, which needs a closer check.
_recorded_times: Final = attrgetter("due_after", *INSTANTS)


def put_back(job: Job, state: JobState, now: float, settings: Settings) -> JobState:
    """Return *state* without times after *now*."""
    changes: dict[str, Any] = {}
    if max(_recorded_times(state)) > now:
        changes = {name: now for name in INSTANTS if getattr(state, name) > now}
        if _is_leapt(job, state.due_after, state.last_finish_at, now):
            changes["due_after"] = now
    if (state.missed_deadline or 0.0) > now:
        # The slot and those after it are expected again.
        changes["missed_deadline"] = None
        changes["missed_through"] = 0.0
    if state.unobserved_through > _decided_by(job, now):
        changes["unobserved_through"] = _unobserved_through(job, state, now)
    if (state.watched_since or 0.0) > now:
        changes["watched_since"] = now
    if state.paused_for and (state.paused_until or 0.0) > now + state.paused_for:
        changes["paused_until"] = now + state.paused_for
    if state.test_asked_at > now:
        changes["test_until"] = state.test_until - (state.test_asked_at - now)
    if state.success_until > (latest := now + settings.min_visible):
        changes["success_until"] = latest
    changes |= _parts(job, state, now)
    return replace(state, **changes) if changes else state


def moved(
    before: Sequence[OpenAlert], after: Sequence[OpenAlert]
) -> tuple[AlertMoved, ...]:
    """Return the changes from the alerts *before* to those *after* they were moved."""
    if before is after:
        return ()
    return tuple(
        AlertMoved(new.key, new.opened_at)
        for old, new in zip(before, after, strict=True)
        if new.opened_at != old.opened_at
    )


def _decided_by(job: Job, now: float) -> float:
    """Return the time up to which slots can be unobserved: see `Unobserved`.

    A slot is expected again while its deadline is in the future. With `every` it is the
    recorded end of the downtime, not a slot.
    """
    return now if isinstance(job.schedule, Every) else now - job.grace


def _unobserved_through(job: Job, state: JobState, now: float) -> float:
    """Return the time up to which slots are unobserved, corrected for the clock."""
    if isinstance(job.schedule, Every):
        slot = job.schedule.next_after(state.covered_until)
        return now if slot + job.grace <= now else 0.0
    return now - job.grace


def _is_leapt(job: Job, covers: float, end: float, now: float) -> bool:
    """Return True if no run that ended at *end* covers slots up to *covers*.

    A run that ends early covers the next slot, which is not due yet.
    """
    if covers <= now:
        return False
    # Also for a paused job: then no slot is expected, and this one counts as run.
    slot = now if job.schedule is None else job.schedule.next_after(now)
    return end > now or covers != slot


def _parts(job: Job, state: JobState, now: float) -> dict[str, Any]:
    """Return the parts of *state* with times that must change."""
    parts: dict[str, Any] = {}
    if state.open_runs:
        parts["open_runs"] = tuple(_open_run(one, now) for one in state.open_runs)
    if state.hung:
        parts["hung"] = tuple(_hung(one, now) for one in state.hung)
    if state.retries:
        parts["retries"] = tuple(_retry(job, state, r, now) for r in state.retries)
    if state.alerts:
        parts["alerts"] = tuple(_alert(one, now) for one in state.alerts)
    if state.ended_alerts:
        parts["ended_alerts"] = tuple(
            EndedAlert(_alert(one.alert, now), min(one.at, now))
            for one in state.ended_alerts
        )
    if state.unobserved is not None:
        parts["unobserved"] = _unobserved(job, state.unobserved, now)
    if state.healed:
        parts["healed"] = tuple(_limited(one, now, "deadline") for one in state.healed)
    if state.last_ping_at > now:
        # These change with reports only, and can be long.
        marks = (state.marks or {}).items()
        # The value of a mark is a time by the clock of the client.
        parts["marks"] = {name: _limited(one, now, "at") for name, one in marks} or None
        parts["unnamed_seen"] = without_future(state.unnamed_seen, now)
        parts["history"] = _history(state.history, now)
    return {name: new for name, new in parts.items() if new != getattr(state, name)}


def _limited(part: T, now: float, *names: str) -> T:
    """Return *part* with none of its times *names* after *now*."""
    changes = {name: now for name in names if (getattr(part, name) or 0.0) > now}
    return replace(part, **changes) if changes else part


def _open_run(run: OpenRun, now: float) -> OpenRun:
    return _limited(run, now, "started_at", "alive_at", "reported_at")


def _hung(run: HungRun, now: float) -> HungRun:
    run = _limited(run, now, "started_at", "deadline", "followed_from")
    return _limited(run, now + CLOSE_BEHIND, "held_until")


def _retry(job: Job, state: JobState, retry: Retry, now: float) -> Retry:
    # The wait for it starts from now at the latest.
    attempts = (r.started_at for r in state.open_runs if r.run_id == retry.run_id)
    ahead = max(0.0, retry.ended_at - now, *(began - now for began in attempts))
    leapt = _is_leapt(job, retry.covers, retry.ended_at, now)
    return replace(
        _limited(retry, now, "begun_at", "started_at", "ended_at"),
        until=retry.until - ahead,
        covers=now if leapt else retry.covers,
    )


def _alert(alert: OpenAlert, now: float) -> OpenAlert:
    return _limited(alert, now, "opened_at", "shown_at", "deadline")


def _unobserved(job: Job, slots: UnobservedSlots, now: float) -> UnobservedSlots | None:
    latest = now - job.grace
    if slots.first > latest:
        return None
    if slots.last <= max(latest, _decided_by(job, now)) and slots.up_since <= now:
        return slots
    slots = _limited(slots, now, "down_since", "up_since")
    return _limited(slots, latest, "last")


def _history(history: History, now: float) -> History:
    ends = array("d", history.ends)
    if max(ends, default=0.0) <= now:
        return history
    right = windows.put_back(ends, now)
    ordered = all(map(le, right, right[1:]))
    return replace(history, ends=array("d", right).tobytes(), ordered=ordered)
