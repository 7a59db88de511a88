"""Metrics of replicas: only where the database is shared, and read at each scrape."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families

from afterrun_exporter import conventions as names
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.storage.replicas import SoleReplica

FAMILIES = {
    names.LEADER,
    names.REPLICAS,
    names.FEED_LAG,
    names.CLOCK_OFFSET,
    names.STORE_CONFLICTS,
}


class Replica(SoleReplica):
    """One of three, which lags."""

    is_leader = False
    count = 3
    clock_offset = -0.25
    conflicts = 7
    lag = 0.125

    def feed_lag(self) -> float:
        return self.lag


def samples(own: SelfMetrics) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(own.render().decode())
        for sample in family.samples
        if sample.name in FAMILIES
    }


def test_without_a_shared_database_there_are_none() -> None:
    assert samples(SelfMetrics("1.2.3")) == {}


def test_each_scrape_has_the_figures_of_that_moment() -> None:
    own, replica = SelfMetrics("1.2.3"), Replica()
    own.watch_replica(replica)

    assert samples(own) == {
        names.LEADER: 0.0,
        names.REPLICAS: 3.0,
        names.FEED_LAG: 0.125,
        names.CLOCK_OFFSET: -0.25,
        names.STORE_CONFLICTS: 7.0,
    }

    replica.is_leader, replica.conflicts, replica.lag = True, 8, math.inf
    later = samples(own)
    assert (later[names.LEADER], later[names.STORE_CONFLICTS]) == (1.0, 8.0)
    assert later[names.FEED_LAG] == math.inf


def test_one_family_may_be_selected() -> None:
    own = SelfMetrics("1.2.3")
    own.watch_replica(Replica())

    text = own.render({names.STORE_CONFLICTS}).decode()

    assert f"{names.STORE_CONFLICTS} 7.0" in text
    assert names.LEADER not in text
