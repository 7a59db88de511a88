"""Notifications of Alertmanagers about alerts: content, time and state of delivery.

Alertmanager identifies an alert by its label set. Of two posts with one label set the
newer wins: "resolved" ends the alert in any case, and "firing" opens it again; of two
posts with "firing" the later `endsAt` is kept (its `Alert.Merge`). Prometheus posts the
same label sets, and notices changes of a condition later than this daemon. Hence

- firing is posted at once: Prometheus's own post, a scrape and an evaluation later, is
  merged into it;
- nothing is renewed once a condition is over: the renewal could arrive after the
  "resolved" of Prometheus, and open the alert again;
- the end is posted when Prometheus must have noticed it, too: the gauge is 0 from
  `shown_until`, and a scrape and an evaluation later (`resolve_delay`) Prometheus posts
  no more "firing". Without a Prometheus, this ends the alert; with one, it has ended
  before and this changes nothing. The last renewal must last until then, or the alert
  would end early: see `lifetime`;
- a new alert is renewed more often: for 15 minutes Prometheus repeats that an earlier
  alert was resolved, until it has noticed the new one;
- an alert that could be delivered only after its end (Alertmanager was down) is posted
  as firing all the same, for as long as a group may wait for its next message; it is
  renewed meanwhile, because of the same repeats.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from afterrun_exporter.core.alerts import UPSTREAM_UNHEALTHY, recently_resolved
from afterrun_exporter.core.state import AlertKey, AlertMoved, AlertResolved, JobState
from afterrun_exporter.core.upstream import HELD_BACK

#: Interval of renewals, and their interval while the alert is new.
RENEW_EVERY: Final = 60.0
RENEW_FRESH: Final = 10.0

#: The minimum time until Alertmanager ends an alert that is not renewed.
LIFETIME: Final = 300.0
#: For the duration of posts, and the difference of two clocks.
SLACK: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertNotification:
    """An alert, as posted to Alertmanagers."""

    #: A JSON object, sorted by name, which identifies it.
    labels: str
    job: str
    key: AlertKey
    #: The reason for a person; "" if it is not known any more.
    summary: str = ""
    opened_at: float
    #: None while it holds.
    resolved_at: float | None = None
    #: The end of its visibility in a gauge; meaningless while it holds.
    shown_until: float = 0.0


class Stage(StrEnum):
    """The last accepted post of an alert to an Alertmanager."""

    FIRING = "firing"
    RESOLVED = "resolved"
    #: None, and retries are useless: the Alertmanager cannot read it.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """The state of delivery of one label set to one Alertmanager."""

    #: The opening time of the alert with these labels.
    opened_at: float
    stage: Stage
    #: Times of the first and the last delivery of this stage.
    since: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Delays of the end of an alert, in seconds."""

    #: After the gauge is 0, for Prometheus to notice it.
    resolve: float
    #: After a late first post, for a group to be notified of it.
    late: float


@dataclass(frozen=True, slots=True)
class Step:
    """The next post to an Alertmanager, and its earliest time."""

    stage: Stage
    at: float
    #: True if the Alertmanager does not know it yet.
    is_news: bool = True


def next_step(
    notice: AlertNotification,
    delivery: DeliveryState | None,
    delays: Delays,
    now: float,
) -> Step | None:
    """Return the next post to an Alertmanager after *delivery*; None for none.

    Every alert is posted, also one that ended before it could be delivered.
    """
    if delivery is None or delivery.opened_at != notice.opened_at:
        return Step(Stage.FIRING, -math.inf)
    if delivery.stage is Stage.REFUSED:
        return None
    if notice.resolved_at is None:
        if delivery.stage is Stage.RESOLVED:
            return Step(Stage.FIRING, -math.inf)
        is_fresh = delivery.last - delivery.since < delays.resolve
        pause = RENEW_FRESH if is_fresh else RENEW_EVERY
        return Step(Stage.FIRING, delivery.last + pause, is_news=False)
    if delivery.stage is Stage.FIRING:
        return _ending(notice, delivery, delays, now)
    return None


def corrected(
    notice: AlertNotification, delivery: DeliveryState, now: float
) -> DeliveryState | None:
    """Return *delivery* corrected to *now* if the clock was set back; otherwise None."""
    if max(delivery.last, notice.resolved_at or now) <= now:
        return None
    return replace(delivery, since=min(delivery.since, now), last=now)


def _ending(
    notice: AlertNotification, delivery: DeliveryState, delays: Delays, now: float
) -> Step:
    shown_until = notice.shown_until
    if notice.resolved_at is not None and notice.resolved_at > now + RENEW_EVERY:
        # By the old clock: the last delivery was when it was set back.
        shown_until += delivery.last - notice.resolved_at
    if delivery.since <= shown_until:
        return Step(Stage.RESOLVED, shown_until + delays.resolve)
    over = delivery.since + max(delays.resolve, delays.late)
    renewal = delivery.last + RENEW_FRESH
    if renewal < over:
        return Step(Stage.FIRING, renewal, is_news=False)
    return Step(Stage.RESOLVED, over)


def lifetime(min_visible: float, resolve_delay: float) -> float:
    """Return the lifetime of a post with "firing", in seconds.

    The condition may end right before the next renewal, is visible for at most
    `min_visible` after that, and its end is posted `resolve_delay` later.
    """
    return max(LIFETIME, RENEW_EVERY + min_visible + resolve_delay + SLACK)


def resolved(
    notices: Iterable[AlertNotification], event: AlertResolved, state: JobState
) -> list[AlertNotification]:
    """Return the open ones of *notices* that *event* resolves, resolved."""
    recent = recently_resolved(state, event.key)
    return [
        replace(
            notice,
            resolved_at=max(event.at, notice.opened_at),
            shown_until=event.at if recent is None else max(event.at, recent.until),
        )
        for notice in notices
        if notice.key == event.key and notice.resolved_at is None
    ]


def moved(
    notices: Iterable[AlertNotification], event: AlertMoved
) -> list[AlertNotification]:
    """Return the open ones of *notices* that *event* moves, moved."""
    return [
        replace(notice, opened_at=event.opened_at)
        for notice in notices
        if notice.key == event.key and notice.resolved_at is None
    ]


def is_history(event: AlertResolved, state: JobState) -> bool:
    """Return True for the end of an alert that ended long before its report."""
    return event.at < state.last_ping_at and recently_resolved(state, event.key) is None


def may_wait(key: AlertKey) -> bool:
    """Return True for an alert that can be held back, and for the one that inhibits it."""
    return key == UPSTREAM_UNHEALTHY or key.condition in HELD_BACK


def not_held_back(
    holding: Sequence[AlertNotification], posted: Collection[AlertKey]
) -> list[AlertNotification]:
    """Return the open alerts of a waiting job that must be posted.

    Alerts that may be caused by the required job are held back, except those that are
    *posted* already, which would resolve. Without these, the alert that inhibits them
    is held back, too.
    """
    own = {one.key for one in holding if one.key.condition in HELD_BACK}
    withheld = own - set(posted)
    if withheld == own:
        withheld |= {UPSTREAM_UNHEALTHY} - set(posted)
    return [notice for notice in holding if notice.key not in withheld]


def reconciled(
    notices: Iterable[AlertNotification],
    expected: Sequence[AlertNotification],
    now: float,
) -> list[AlertNotification]:
    """Return the changes that make the *expected* notifications the open ones.

    Labels may change while an alert is open: then the old label set is resolved, and
    the new one opens with the same text.
    """
    holding = {n.labels: n for n in notices if n.resolved_at is None}
    summaries = {notice.key: notice.summary for notice in holding.values()}
    labels_expected = {notice.labels for notice in expected}
    ended_notices = [
        replace(notice, resolved_at=max(now, notice.opened_at), shown_until=now)
        for labels, notice in holding.items()
        if labels not in labels_expected
    ]
    return ended_notices + [
        replace(notice, summary=summaries.get(notice.key, notice.summary))
        for notice in expected
        if notice.labels not in holding
    ]
