"""Downtimes: periods in which no report could arrive.

The daemon was down, suspended or could not store anything, or the clock leapt. Slots
due in one are *unobserved*: the run may have happened, with its report lost. `Settings`
describes the last downtime. Once it is settled, clients have had time to retry.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.model import Job, Settings

#: Seconds after its settling in which a downtime may not have been processed yet.
SLACK: Final = 60.0


def is_unobserved(instant: float, settings: Settings) -> bool:
    """Return True if no report could arrive at *instant*."""
    return settings.down_since <= instant <= settings.up_since


def patience(job: Job, settings: Settings) -> float:
    """Return the instant until which reports for unobserved slots are accepted."""
    return max(settings.settled_at, settings.up_since + (job.after_downtime or 0.0))


def held_back(slot: float, deadline: float, settings: Settings) -> float:
    """Return the instant after which a run for *slot* with *deadline* is late.

    The report of a run that was due before the end of the downtime may have failed; it
    is late only after clients have had time to retry.
    """
    if slot <= settings.up_since < deadline < settings.settled_at:
        return settings.settled_at
    return deadline


def settling(
    settings: Settings, since: float, now: float, settle: float, waits: float = 0.0
) -> Settings:
    """Return *settings* after a downtime from *since* until *now*.

    It extends the previous one if that was hardly settled: slots due in that may not
    have been recorded yet. *waits* is the longest `after_downtime` of any job: that
    long some of them are undecided.
    """
    if since <= max(settings.settled_at, settings.up_since + waits) + SLACK:
        since = min(since, settings.down_since)
    return replace(settings, down_since=since, up_since=now, settled_at=now + settle)
