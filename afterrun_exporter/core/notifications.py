"""What Alertmanagers are to be told, when, and what they have been told already.

Alertmanager knows an alert by its label set. Of two posts with one label set the
newer wins: one that says "resolved" ends the alert whatever was said before, one
that says "firing" opens it again; the later `endsAt` of two that say "firing" stays
(its `Alert.Merge`). Prometheus posts the same label sets, and sees later than we do
what becomes of a condition. Hence

- firing is posted at once: Prometheus's own post, a scrape and an evaluation later,
  is merged into it;
- nothing is renewed once a condition is over: it could arrive after Prometheus said
  "resolved", and open the alert anew;
- the end is posted when Prometheus must have seen it, too: the gauge went down at
  `shown_until`, and a scrape and an evaluation later (`resolve_delay`) no "firing" of
  Prometheus can follow. Where there is no Prometheus, this is what ends the alert;
  where there is one, it has been ended by then and this changes nothing. Until then
  the last renewal must last, or the alert would end early: `lifetime` sees to it;
- what has just opened is renewed more often: Prometheus repeats for 15 minutes that
  an earlier alert was resolved, until it has seen the new one;
- what could be told only when it was over (Alertmanager was down) is told as firing
  all the same, and held for as long as a group may wait for its next message; it is
  renewed meanwhile, against the same repeats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from afterrun_exporter.core.alerts import recently_resolved
from afterrun_exporter.core.state import AlertKey, AlertMoved, AlertResolved, JobState

#: How often an alert is posted again, and how often while it is fresh.
RENEW_EVERY: Final = 60.0
RENEW_FRESH: Final = 10.0

#: What Alertmanager takes for the end of an alert that is not renewed, at least.
LIFETIME: Final = 300.0
#: Posts take a while, and two clocks may differ.
SLACK: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertNotification:
    """An alert as Alertmanagers are told of it."""

    #: A JSON object, sorted by name: what they know it by.
    labels: str
    job: str
    key: AlertKey
    #: Why it opened, in words for a person; "" when that is not known any more.
    summary: str = ""
    opened_at: float
    #: None while it holds.
    resolved_at: float | None = None
    #: Until when a gauge shows it; it means nothing while it holds.
    shown_until: float = 0.0


class Stage(StrEnum):
    """What an Alertmanager has taken of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"
    #: Nothing, and it never will: it says that it cannot read it.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """What one Alertmanager was last told of a label set."""

    #: Of which alert with these labels: when that one opened.
    opened_at: float
    stage: Stage
    #: When it was first told so, and when last.
    since: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """How long an end is kept back."""

    #: After the gauge went down, for Prometheus to see it.
    resolve: float
    #: After news that came late, for a group to be notified of it.
    late: float


@dataclass(frozen=True, slots=True)
class Step:
    """What an Alertmanager is to be told next, and from when on."""

    stage: Stage
    at: float
    #: Whether it does not know that yet.
    is_news: bool = True


def next_step(
    notice: AlertNotification, told: DeliveryState | None, delays: Delays, now: float
) -> Step | None:
    """Return what comes next for an Alertmanager that was *told*; None for nothing.

    It hears of every alert, also of one that was over before it could be told.
    """
    if told is None or told.opened_at != notice.opened_at:
        return Step(Stage.FIRING, -math.inf)
    if told.stage is Stage.REFUSED:
        return None
    if notice.resolved_at is None:
        if told.stage is Stage.RESOLVED:
            return Step(Stage.FIRING, -math.inf)
        is_fresh = told.last - told.since < delays.resolve
        pause = RENEW_FRESH if is_fresh else RENEW_EVERY
        return Step(Stage.FIRING, told.last + pause, is_news=False)
    if told.stage is Stage.FIRING:
        return _ending(notice, told, delays, now)
    return None


def noted_later(
    notice: AlertNotification, told: DeliveryState, now: float
) -> DeliveryState | None:
    """Return *told* as of *now* where the clock was set back since; None where not."""
    if max(told.last, notice.resolved_at or now) <= now:
        return None
    return replace(told, since=min(told.since, now), last=now)


def _ending(
    notice: AlertNotification, told: DeliveryState, delays: Delays, now: float
) -> Step:
    shown_until = notice.shown_until
    if notice.resolved_at is not None and notice.resolved_at > now + RENEW_EVERY:
        # By the old time. It was told last when the clock was set back.
        shown_until += told.last - notice.resolved_at
    if told.since <= shown_until:
        return Step(Stage.RESOLVED, shown_until + delays.resolve)
    over = told.since + max(delays.resolve, delays.late)
    renewal = told.last + RENEW_FRESH
    if renewal < over:
        return Step(Stage.FIRING, renewal, is_news=False)
    return Step(Stage.RESOLVED, over)


def lifetime(min_visible: float, resolve_delay: float) -> float:
    """Return how long a post that says "firing" must last.

    The condition may end right before the next renewal, is shown for `min_visible`
    at most from then on, and its end is posted `resolve_delay` after that.
    """
    return max(LIFETIME, RENEW_EVERY + min_visible + resolve_delay + SLACK)


def resolved(
    notices: Iterable[AlertNotification], event: AlertResolved, state: JobState
) -> list[AlertNotification]:
    """Return those of *notices* that *event* ends, as it leaves them."""
    healed = recently_resolved(state, event.key)
    return [
        replace(
            notice,
            resolved_at=max(event.at, notice.opened_at),
            shown_until=event.at if healed is None else max(event.at, healed.until),
        )
        for notice in notices
        if notice.key == event.key and notice.resolved_at is None
    ]


def moved(
    notices: Iterable[AlertNotification], event: AlertMoved
) -> list[AlertNotification]:
    """Return those of *notices* that *event* is about, as it leaves them."""
    return [
        replace(notice, opened_at=event.opened_at)
        for notice in notices
        if notice.key == event.key and notice.resolved_at is None
    ]


def is_history(event: AlertResolved, state: JobState) -> bool:
    """Return True for the end of an alert that was over long before it was reported."""
    return event.at < state.last_ping_at and recently_resolved(state, event.key) is None


def reconciled(
    notices: Iterable[AlertNotification],
    wanted: Sequence[AlertNotification],
    now: float,
) -> list[AlertNotification]:
    """Return what must change for those of *wanted* to be the ones that are open.

    Labels may have changed while an alert was open: the old label set ends, the new
    one opens, and says the same.
    """
    holding = {n.labels: n for n in notices if n.resolved_at is None}
    summaries = {notice.key: notice.summary for notice in holding.values()}
    right = {notice.labels for notice in wanted}
    over = [
        replace(notice, resolved_at=max(now, notice.opened_at), shown_until=now)
        for labels, notice in holding.items()
        if labels not in right
    ]
    return over + [
        replace(notice, summary=summaries.get(notice.key, notice.summary))
        for notice in wanted
        if notice.labels not in holding
    ]
