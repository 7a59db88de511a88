"""What an Alertmanager is told next, as a table."""

from __future__ import annotations

import math

import pytest

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.notifications import (
    LIFETIME,
    RENEW_EVERY,
    RENEW_FRESH,
    AlertNotification,
    Delays,
    DeliveryState,
    Stage,
    Step,
    corrected,
    is_history,
    lifetime,
    may_wait,
    moved,
    next_step,
    not_held_back,
    reconciled,
    resolved,
)
from afterrun_exporter.core.state import (
    AlertKey,
    AlertMoved,
    AlertResolved,
    JobState,
    RecentlyResolved,
)

DELAY = 150.0
LATE = 330.0
DELAYS = Delays(resolve=DELAY, late=LATE)
FAILING = AlertKey(Condition.FAILING)
MISSED = AlertKey(Condition.MISSED)
NOW = Step(Stage.FIRING, -math.inf)


def notice(labels: str = "warning", **more: object) -> AlertNotification:
    facts = {"job": "backup", "key": FAILING, "opened_at": 1000.0, **more}
    return AlertNotification(labels=labels, **facts)  # type: ignore[arg-type]


def firing(since: float, last: float, opened_at: float = 1000.0) -> DeliveryState:
    return DeliveryState(opened_at, Stage.FIRING, since, last)


OVER = notice(resolved_at=1100.0, shown_until=1160.0)


@pytest.mark.parametrize(
    ("what", "told", "step"),
    [
        pytest.param(
            notice(), None, NOW, id="what it does not know, it is told at once"
        ),
        pytest.param(OVER, None, NOW, id="also when it is over by now"),
        pytest.param(
            notice(),
            firing(1001, 1001),
            Step(Stage.FIRING, 1001 + RENEW_FRESH, is_news=False),
            id="what is fresh is renewed soon",
        ),
        pytest.param(
            notice(),
            firing(1001, 1001 + DELAY),
            Step(Stage.FIRING, 1001 + DELAY + RENEW_EVERY, is_news=False),
            id="what is known for long is renewed at leisure",
        ),
        pytest.param(
            OVER,
            firing(1001, 1090),
            Step(Stage.RESOLVED, 1160 + DELAY),
            id="what is over ends when Prometheus must have seen it",
        ),
        pytest.param(
            OVER,
            firing(1150, 1150),
            Step(Stage.RESOLVED, 1160 + DELAY),
            id="also when it was told while it was still shown",
        ),
        pytest.param(
            OVER,
            firing(5000, 5000),
            Step(Stage.FIRING, 5000 + RENEW_FRESH, is_news=False),
            id="what was told late is held",
        ),
        pytest.param(
            OVER,
            firing(5000, 5000 + LATE - RENEW_FRESH),
            Step(Stage.RESOLVED, 5000 + LATE),
            id="and ends when a group has been notified of it",
        ),
        pytest.param(
            OVER,
            DeliveryState(1000, Stage.RESOLVED, 1400, 1400),
            None,
            id="what has been told to be over is done with",
        ),
        pytest.param(
            notice(opened_at=2000.0),
            firing(1001, 1090),
            NOW,
            id="what opens again is told at once",
        ),
        pytest.param(
            notice(opened_at=2000.0),
            DeliveryState(1000, Stage.RESOLVED, 1400, 1400),
            NOW,
            id="what opens again after its end is told at once",
        ),
        pytest.param(
            notice(),
            DeliveryState(1000, Stage.RESOLVED, 1400, 1400),
            NOW,
            id="labels that come back while the alert is open are told at once",
        ),
        pytest.param(
            notice(),
            DeliveryState(1000, Stage.REFUSED, 1001, 1001),
            None,
            id="what was refused is not told again",
        ),
        pytest.param(
            notice(opened_at=2000.0),
            DeliveryState(1000, Stage.REFUSED, 1001, 1001),
            NOW,
            id="the next alert with the labels of one that was refused is tried",
        ),
    ],
)
def test_what_comes_next(
    what: AlertNotification, told: DeliveryState | None, step: Step | None
) -> None:
    assert next_step(what, told, DELAYS, 9000.0) == step


@pytest.mark.parametrize(
    ("min_visible", "resolve_delay"), [(60, 150), (0, 0), (600, 150), (60, 3600)]
)
def test_a_renewal_lasts_until_the_end_is_told(
    min_visible: float, resolve_delay: float
) -> None:
    """Healed right before the next renewal, and then shown as long as can be."""
    lasts = lifetime(min_visible, resolve_delay)

    assert lasts > RENEW_EVERY + min_visible + resolve_delay
    assert lasts >= LIFETIME


def test_an_end_is_told_of_one_condition() -> None:
    """And it is known until when the gauge shows it."""
    state = JobState(
        created_at=0, due_after=0, healed=(RecentlyResolved(key=FAILING, until=1160.0),)
    )
    open_ones = [notice(), notice("missed", key=MISSED)]

    over = resolved(open_ones, AlertResolved(FAILING, 1100.0), state)

    assert over == [OVER]


def test_an_end_is_told_of_what_is_open() -> None:
    state = JobState(created_at=0, due_after=0)

    assert resolved([OVER], AlertResolved(FAILING, 1200.0), state) == []


def test_new_labels_end_the_old_ones() -> None:
    """The alert is the same: it opened when it did, and for the reason it did."""
    before = [notice(summary="it broke")]
    wanted = [notice("critical")]

    old, new = reconciled(before, wanted, 1200.0)

    assert old == notice(summary="it broke", resolved_at=1200.0, shown_until=1200.0)
    assert new == notice("critical", summary="it broke")


def test_what_is_right_is_left_alone() -> None:
    assert reconciled([notice(summary="it broke"), OVER], [notice()], 1200.0) == []


class TestAClockThatWasSetBack:
    def test_changes_no_delivery_from_before(self) -> None:
        assert corrected(OVER, firing(1001, 1090), 1200.0) is None

    @pytest.mark.parametrize("what", [notice(), OVER])
    def test_leaves_no_delivery_in_the_future(self, what: AlertNotification) -> None:
        late = firing(1010, 1090)

        assert corrected(what, late, 1050.0) == firing(1010, 1050)
        assert corrected(what, late, 1005.0) == firing(1005, 1005)

    def test_ends_an_alert_as_long_after_it_as_without(self) -> None:
        """It was shown until 60 seconds after its end, which lies in the future."""
        late_end = notice(resolved_at=9000.0, shown_until=9060.0)

        step = next_step(late_end, firing(1000, 1000), DELAYS, 1000.0)

        assert step == Step(Stage.RESOLVED, 1060 + DELAY)

    def test_moves_the_open_alerts_of_a_condition(self) -> None:
        ended, other = notice(resolved_at=1100.0), notice(key=MISSED)

        (right,) = moved([notice(), ended, other], AlertMoved(FAILING, 900.0))

        assert right == notice(opened_at=900.0)


@pytest.mark.parametrize(
    ("at", "healed", "is_past"),
    [(500.0, False, True), (500.0, True, False), (1000.0, False, False)],
)
def test_an_end_long_before_its_report_is_history_unless_it_is_still_shown(
    at: float, healed: bool, is_past: bool
) -> None:
    shown = (RecentlyResolved(key=FAILING, until=1060.0),) if healed else ()
    state = JobState(created_at=0.0, due_after=0.0, last_ping_at=1000.0, healed=shown)

    assert is_history(AlertResolved(FAILING, at), state) is is_past


UPSTREAM = AlertKey(Condition.UPSTREAM_UNHEALTHY)
TESTED = AlertKey(Condition.TEST)


@pytest.mark.parametrize(
    ("posted", "to_post"),
    [
        pytest.param(set(), {TESTED}, id="nothing that another job may have caused"),
        pytest.param(
            {FAILING},
            {FAILING, UPSTREAM, TESTED},
            id="what is posted, and its inhibitor",
        ),
        pytest.param(
            {UPSTREAM}, {UPSTREAM, TESTED}, id="an inhibitor that is posted already"
        ),
        pytest.param(
            {FAILING, MISSED},
            {FAILING, MISSED, UPSTREAM, TESTED},
            id="all that is posted",
        ),
    ],
)
def test_of_a_job_that_waits_for_another_one_is_posted(
    posted: set[AlertKey], to_post: set[AlertKey]
) -> None:
    holding = [notice(key=key) for key in (FAILING, MISSED, UPSTREAM, TESTED)]

    assert {one.key for one in not_held_back(holding, posted)} == to_post


def test_alerts_may_wait_for_a_job_that_can_cause_them() -> None:
    """And with them the one that inhibits them."""
    waiting = {one for one in Condition if may_wait(AlertKey(one))}

    assert waiting == {
        Condition.MISSED,
        Condition.FAILING,
        Condition.VIOLATED,
        Condition.OVERRUNNING,
        Condition.SUCCESS_RATIO_LOW,
        Condition.SLOW,
        Condition.UPSTREAM_UNHEALTHY,
    }
