"""Time for the tests of this folder, which look at replicas one after another."""

from __future__ import annotations

import pytest

from afterrun_exporter.storage.postgres import beat


@pytest.fixture(autouse=True)
def long_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no lease end, and no downtime begin, because a test takes its time."""
    monkeypatch.setattr(beat, "LEASE", 100 * beat.LEASE)
    monkeypatch.setattr(beat, "DOWN", 100 * beat.DOWN)
    # Less than the minute that a replica is set back when it leaves.
    monkeypatch.setattr(beat, "ALIVE", 5 * beat.ALIVE)
