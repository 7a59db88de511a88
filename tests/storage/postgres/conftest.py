"""Time for the tests of this folder, which look at replicas one after another."""

from __future__ import annotations

import pytest

from afterrun_exporter.storage.postgres import beat, daily_figures, replica, store
from tests.patience import PATIENCE


@pytest.fixture(autouse=True)
def long_leases(patient_limits: pytest.MonkeyPatch) -> None:
    """Let no lease end, and no downtime begin, because a test takes its time."""
    for module, limit in (
        (beat, "LEASE"),
        (beat, "DOWN"),
        (beat, "ALIVE"),
        (daily_figures, "SETTLED"),
        (replica, "FRESH"),
        (store, "FRESH"),
    ):
        patient_limits.setattr(module, limit, PATIENCE)
    # Also in statements: a replica that leaves no longer counts as alive.
    for module, name, interval, longer in (
        (beat, "_LEAVE", "'1 minute'", f"'{2 * PATIENCE} s'"),
        (daily_figures, "_SEEN", "'15.0 s'", f"'{PATIENCE} s'"),
    ):
        sql = getattr(module, name)
        assert interval in sql
        patient_limits.setattr(module, name, sql.replace(interval, longer))
