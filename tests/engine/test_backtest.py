"""Backtests on the runs that are stored."""

from __future__ import annotations

import json

from afterrun_exporter.core.backtest import Change
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.engine.backtest import try_rules
from afterrun_exporter.engine.service import Service
from afterrun_exporter.engine.stored_runs import stored_runs
from tests.core.jobs import at, ping


async def test_long_metadata_is_read_where_a_rule_needs_it(service: Service) -> None:
    """And a part of the runs at a time."""
    for minute in range(6):
        metadata = {"note": "done", "log": "x" * 900_000}
        report = ping(f"21 12:0{minute}", metadata=json.dumps(metadata))
        await service.record(report)

    async def tried(rule: str) -> list[tuple[int, int]]:
        rules = [parse_rule(rule)]
        backtest = await try_rules(
            service.store, service.settings, "backup", rules, 0.0
        )
        return [(one.run.number, len(one.run.metadata)) for one in backtest.flagged]

    numbers = [1, 2, 3, 4, 5, 6]
    assert await tried("lines > 1") == [(n, 0) for n in numbers]
    assert await tried('note == "done"') == []
    assert [n for n, size in await tried('note == "gone"') if size] == numbers


async def test_no_more_runs_are_read_than_asked_for(service: Service) -> None:
    for minute in range(6):
        metadata = json.dumps({"log": "x" * 900_000})
        await service.record(ping(f"21 12:0{minute}", metadata=metadata))

    read = [run.number async for run in stored_runs(service.store, "backup", 5)]

    assert read == [6, 5, 4, 3, 2]


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
