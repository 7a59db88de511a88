"""Rules tried on the runs that a job has had, before they go live."""

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
from afterrun_exporter.api.handlers import ApiRequest, Write
from afterrun_exporter.api.jobs import known
from afterrun_exporter.api.request_models import NoQuery
from afterrun_exporter.api.serializers import violations_of
from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.backtest import Backtest, BacktestRun, Change
from afterrun_exporter.core.backtest_summary import headline, newest
from afterrun_exporter.core.model import Job, Run
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.timestamps import format_time, instant
from afterrun_exporter.engine.backtest import try_rules
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import Store


def backtest(
    service: Service, store: Store, clock: Clock
) -> Write[NoQuery, RulesToTry]:
    """Return what tries rules on the runs of a job; it changes nothing."""

    async def write(asked: ApiRequest[NoQuery, RulesToTry]) -> bytes:
        job, state = known(service, asked.job)
        body, now = asked.body, clock.now()
        since = -math.inf if body.since is None else instant(body.since, now)
        rules = rules_to_try(job, state, body)
        tried = await try_rules(store, service.settings, job.name, rules, since)
        shown = islice(newest(tried, [*map(Change, body.changes)]), body.limit)
        return await _body(_result(job, tried), shown)

    return write


def rules_to_try(job: Job, state: JobState, wanted: RulesToTry) -> tuple[Rule, ...]:
    """Return which rules are tried on the runs of *job*."""
    if wanted.rules is None:
        return job.rules
    rules = tuple(spec.rule() for spec in wanted.rules)
    if wanted.add:
        rules = _joined(job.rules, rules)
    return _joined(rules, _said(state)) if wanted.said else rules


def _joined(rules: Iterable[Rule], more: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return all of them; one of *more* takes the place of one of the same name."""
    replaced = {rule.name for rule in more}
    return (*(rule for rule in rules if rule.name not in replaced), *more)


def _said(state: JobState) -> tuple[Rule, ...]:
    rules = json.loads(state.said).get("rules") if state.said else ()
    try:
        said = RulesToTry.model_validate({"rules": rules or []})
    except ValidationError:
        # What this version does not understand counts as little as it does live.
        return ()
    return tuple(spec.rule() for spec in said.rules or ())


def _result(job: Job, tried: Backtest) -> BacktestResult:
    """Return the answer, all but the runs that it tells of."""
    return BacktestResult(
        job=job.name,
        headline=headline(tried),
        warnings=[*tried.warnings()],
        gaps=[*tried.gaps()],
        since=_ended(tried.first),
        until=_ended(tried.last),
        runs=tried.runs,
        judged=tried.judged,
        would_flag=tried.would_flag,
        was_flagged=tried.was_flagged,
        changes={change: tried.changes[change] for change in Change},
        forgotten=tried.forgotten,
        rules=[RuleCount(**asdict(count)) for count in tried.by_rule.values()],
        flagged=[],
    )


async def _body(result: BacktestResult, shown: Iterable[BacktestRun]) -> bytes:
    """Return *result* in JSON, with the runs that are *shown*.

    Hundreds of runs may break a hundred rules each: that is made in steps, and one
    run at a time, or the collection of garbage would hold the event loop.
    """
    head = result.model_dump_json().removesuffix("]}").encode()
    runs = [_run(one).model_dump_json().encode() async for one in cooperatively(shown)]
    return b"%s%s]}" % (head, b",".join(runs))


def _run(tried: BacktestRun) -> TriedRun:
    run = tried.run
    return TriedRun(
        number=run.number,
        run_id=run.run_id,
        attempt=run.attempt,
        outcome=run.outcome,
        finished_at=format_time(run.finished_at),
        change=tried.change,
        would_break=violations_of(tried.violations),
        broke=violations_of(run.violations),
        unknown=list(tried.unknown),
    )


def _ended(run: Run | None) -> str | None:
    return None if run is None else format_time(run.finished_at)
