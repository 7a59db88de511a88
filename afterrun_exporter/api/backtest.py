"""Backtests of rules on the recorded runs of a job."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice

from pydantic import ValidationError

from afterrun_exporter.api.backtest_models import (
    BacktestResult,
    RuleCount,
    RulesToTry,
    TriedRun,
)
from afterrun_exporter.api.handlers import ApiRequest
from afterrun_exporter.api.jobs import find_job
from afterrun_exporter.api.request_models import NoQuery
from afterrun_exporter.api.serializers import violations_of
from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.backtest import (
    Backtest,
    BacktestRun,
    Change,
    Count,
    headline,
    newest,
)
from afterrun_exporter.core.model import Job, Run
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.timestamps import format_time, instant
from afterrun_exporter.engine.backtest import try_rules
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import Store


async def backtest(
    service: Service,
    store: Store,
    clock: Clock,
    request: ApiRequest[NoQuery, RulesToTry],
) -> bytes:
    """Backtest rules on the runs of a job, changing nothing."""
    job, state = find_job(service, request.job)
    body, now = request.body, clock.now()
    since = -math.inf if body.since is None else instant(body.since, now)
    rules = rules_to_try(job, state, body)
    result = await try_rules(store, service.settings, job.name, rules, since)
    selected = islice(newest(result, [*map(Change, body.changes)]), body.limit)
    return await _body(_result(job, result), selected)


def rules_to_try(job: Job, state: JobState, request: RulesToTry) -> tuple[Rule, ...]:
    """Return the rules to backtest on the runs of *job*."""
    if request.rules is None:
        return job.rules
    rules = tuple(spec.rule() for spec in request.rules)
    if request.add:
        rules = _joined(job.rules, rules)
    return _joined(rules, client_rules(state)) if request.said else rules


def _joined(rules: Iterable[Rule], more: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return both; a rule in *more* replaces one of the same name."""
    replaced = {rule.name for rule in more}
    return (*(rule for rule in rules if rule.name not in replaced), *more)


def client_rules(state: JobState) -> tuple[Rule, ...]:
    """Return the rules that clients have sent for an auto-registered job."""
    rules = (
        json.loads(state.client_settings).get("rules") if state.client_settings else ()
    )
    try:
        spec = RulesToTry.model_validate({"rules": rules or []})
    except ValidationError:
        # Rules that this version cannot read are ignored here as they are live.
        return ()
    return tuple(spec.rule() for spec in spec.rules or ())


def _result(job: Job, result: Backtest) -> BacktestResult:
    """Return the response without the list of runs."""
    return BacktestResult(
        job=job.name,
        headline=headline(result),
        warnings=[*result.warnings()],
        gaps=[*result.gaps()],
        since=_finish_time(result.first),
        until=_finish_time(result.last),
        runs=result.runs,
        judged=result.judged,
        would_flag=result.would_flag,
        was_flagged=result.was_flagged,
        changes={change: result.changes[change] for change in Change},
        forgotten=result.forgotten,
        rules=[_rule_count(count) for count in result.by_rule.values()],
        flagged=[],
    )


async def _body(result: BacktestResult, selected: Iterable[BacktestRun]) -> bytes:
    """Return *result* as JSON, with the *selected* runs.

    Hundreds of runs may break a hundred rules each. They are encoded one at a time,
    so that neither encoding nor garbage collection blocks the event loop.
    """
    head = result.model_dump_json().removesuffix("]}").encode()
    runs = [
        _run(one).model_dump_json().encode() async for one in cooperatively(selected)
    ]
    return b"%s%s]}" % (head, b",".join(runs))


def _run(result: BacktestRun) -> TriedRun:
    run = result.run
    return TriedRun(
        number=run.number,
        run_id=run.run_id,
        attempt=run.attempt,
        outcome=run.outcome,
        finished_at=format_time(run.finished_at),
        change=result.change,
        would_break=violations_of(result.violations),
        broke=violations_of(run.violations),
        unknown=list(result.unknown),
    )


def _finish_time(run: Run | None) -> str | None:
    return None if run is None else format_time(run.finished_at)


def _rule_count(count: Count) -> RuleCount:
    fields = asdict(count)
    return RuleCount(tried=fields.pop("is_tested"), **fields)
