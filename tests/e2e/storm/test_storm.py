"""Hundreds of jobs fail at one moment: each that is to blame is told, once.

`make storm` does the same with 20,000 of 100,000 jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from afterrun_exporter import conventions as names
from tests.e2e import network
from tests.e2e.conftest import Launch
from tests.patience import PATIENCE

from . import findings
from .fleet import Fleet
from .storm import BOTH, PUSH, QUICK, RULES, Plan, Storm

FLEET: Final = Fleet(size=1000, failing=400)

#: Longer than what Prometheus drops takes to resolve, and a group to come again.
QUIET: Final = 4 * QUICK.resend + QUICK.group_interval + 5.0


#: Returns a storm of which all programs end with the test.
Gather = Callable[[Plan], Storm]


@pytest.fixture
def gather(launch: Launch, tmp_path: Path) -> Iterator[Gather]:
    with ExitStack() as stack:

        def call(plan: Plan) -> Storm:
            storm = Storm(tmp_path, plan, launch)
            stack.callback(storm.stop)
            storm.begin()
            return storm

        yield call


@pytest.mark.parametrize(
    ("way", "shards"),
    [
        (RULES, 3),
        (PUSH, 1),
        (BOTH, 1),
        pytest.param(RULES, 1, marks=pytest.mark.slow),
        pytest.param(BOTH, 3, marks=pytest.mark.slow),
    ],
)
def test_a_storm_is_told_once_and_by_its_roots(
    gather: Gather, way: str, shards: int
) -> None:
    storm = gather(Plan(FLEET, way, shards))

    storm.strike()

    told = storm.wait(PATIENCE, QUIET)
    assert told.problems(FLEET, PATIENCE) == []
    assert not told.others & {
        names.NOTIFICATIONS_DROPPED,
        names.NOTIFICATION_QUEUE_SMALL,
    }


def test_a_queue_that_is_too_small_is_told_before_and_after_it_drops_alerts(
    gather: Gather,
) -> None:
    """What such a storm is like without the flag that the documents advise."""
    storm = gather(Plan(FLEET, RULES, queue=20, shorten=True))

    def has(alert: str) -> bool:
        return alert in findings.read(storm.posted).others

    assert network.wait_for(lambda: has(names.NOTIFICATION_QUEUE_SMALL))
    storm.strike()
    assert network.wait_for(lambda: has(names.NOTIFICATIONS_DROPPED))

    assert sum(storm.metric("prometheus_notifications_dropped_total")) > 0
