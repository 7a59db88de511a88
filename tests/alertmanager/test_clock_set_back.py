"""A clock that is set back, as NTP does at boot, keeps no news and no renewal back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from afterrun_exporter.alertmanager.sender import LONGEST_PAUSE
from afterrun_exporter.core.notifications import LIFETIME, RENEW_EVERY
from afterrun_exporter.core.timestamps import parse_time
from tests.alertmanager.chain import DELAY, MIN_VISIBLE, WARNING, Chain

HOUR = 3600.0


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    chain = await Chain().start()
    yield chain
    await chain.stop()


async def renewed_for_ten_minutes(chain: Chain) -> None:
    """Let time pass; see that Alertmanager never takes the alert to be over."""
    for _ in range(10):
        await chain.wait(RENEW_EVERY)
        told, now = chain.a.last[WARNING], chain.clock.now()
        assert parse_time(told["startsAt"]) <= now
        assert now + LIFETIME / 2 < parse_time(told["endsAt"]) <= now + LIFETIME


@pytest.mark.parametrize("known_for", [0, HOUR])
async def test_what_is_open_is_renewed(chain: Chain, known_for: float) -> None:
    """Where nobody else tells it, it would end after five minutes."""
    await chain.fail()
    await chain.wait(known_for)

    await chain.wait(-2 * HOUR)

    await renewed_for_ten_minutes(chain)
    assert chain.a.told(WARNING) == ["firing"]


async def test_what_is_open_is_renewed_after_a_restart(chain: Chain) -> None:
    await chain.fail()
    await chain.stop()
    chain.clock.show(chain.clock.now() - HOUR)

    await chain.start()

    await renewed_for_ten_minutes(chain)


async def test_an_alertmanager_that_is_back_is_told_at_once(chain: Chain) -> None:
    """Its pause was to end at a time of the old clock."""
    chain.a.is_up = False
    await chain.fail()
    await chain.wait(LONGEST_PAUSE)
    chain.a.is_up = True

    await chain.wait(-HOUR)

    assert chain.a.told(WARNING) == ["firing"]


async def test_an_end_is_told_no_later_than_ever(chain: Chain) -> None:
    """And not before Prometheus must have seen it."""
    await chain.fail()
    await chain.wait(30)
    await chain.succeed()
    await chain.wait(-HOUR)
    await chain.wait(MIN_VISIBLE)
    assert chain.a.told(WARNING) == ["firing"]

    await chain.wait(DELAY)

    assert chain.a.told(WARNING) == ["firing", "resolved"]
    assert chain.store.outbox.notices == {}
