"""Backtests on the runs that are stored."""

from __future__ import annotations

from afterrun_exporter.core.backtest import Change
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.engine.backtest import try_rules
from afterrun_exporter.engine.service import Service
from tests.core.jobs import at, ping


async def test_the_stored_runs_are_judged_from_the_oldest_on(service: Service) -> None:
    for minute, rows in enumerate((10.0, 10.0, 1.0)):
        report = ping(f"21 12:0{minute}", metrics={"rows": rows, "size": 9999.0})
        await service.record(report)

    halved = parse_rule("rows >= 0.5 * previous")
    backtest = await try_rules(
        service.store, service.settings, "backup", [halved], at("21 12:01")
    )

    assert backtest.runs == 2
    assert [(one.run.number, one.change) for one in backtest.flagged] == [
        (3, Change.NEWLY)
    ]
