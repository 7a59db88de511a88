"""Requests and results of backtests."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from afterrun_exporter.api.parameter_types import Since
from afterrun_exporter.api.response_models import Answer, Time, Violation
from afterrun_exporter.config.backtest_rules import FewRules
from afterrun_exporter.config.base import Spec
from afterrun_exporter.core.backtest import MAX_FLAGGED, Change
from afterrun_exporter.core.model import Outcome

#: The changes that a result can list runs of.
Shown = Literal["newly_flagged", "no_longer_flagged", "flagged_by_both", "unknown"]


class RulesToTry(Spec):
    """Rules to try on the runs of a job, written as in afterrun.yml."""

    rules: FewRules | None = Field(
        None,
        description="default: the rules that the job has now",
        examples=[["rows_processed > 100", {"expr": "size > 1KiB", "name": "size"}]],
    )
    add: bool = Field(
        default=False,
        description="add to the rules that the job has; one of the same name replaces "
        "the job's",
    )
    said: bool = Field(
        default=False,
        description="add the rules that clients have sent for an auto-registered job; "
        "they replace rules of the same name",
    )
    since: Since | None = Field(
        None,
        description="use runs finished since this time, or within this duration",
        examples=["30d"],
    )
    changes: Annotated[tuple[Shown, ...], Field(strict=False)] = Field(
        get_args(Shown), description="list runs with one of these changes"
    )
    limit: Annotated[int, Field(ge=1, le=MAX_FLAGGED)] = Field(
        100, description="maximum number of listed runs, newest first; all are counted"
    )


class TriedRun(Answer):
    """A run that would be flagged, was flagged, or cannot be evaluated."""

    number: int
    run_id: str | None
    attempt: int
    outcome: Outcome
    finished_at: Time
    change: Change
    would_break: list[Violation]
    broke: list[Violation] = Field(description="violations that were recorded")
    unknown: list[str] = Field(description="rules that cannot be evaluated for it")


class RuleCount(Answer):
    """The counts of one rule."""

    rule: str
    metric: str
    tried: bool = Field(
        description="false: it has recorded violations, but is not part of this backtest"
    )
    would_flag: int
    was_flagged: int
    not_reported: int = Field(
        description="runs among `would_flag` that did not report the metric"
    )
    unknown: int


class BacktestResult(Answer):
    """Runs that the rules would flag, compared with those that were flagged."""

    job: str
    headline: str = Field(description="the result in one sentence")
    warnings: list[str] = Field(description="rules that may be misspelt")
    gaps: list[str] = Field(description="limits of the recorded history")
    since: Time | None = Field(description="end of the first counted run")
    until: Time | None = Field(description="end of the last counted run")
    runs: int = Field(description="runs counted")
    judged: int = Field(description="runs that reported ok")
    would_flag: int
    was_flagged: int
    changes: dict[Change, int] = Field(description="number of runs by change")
    forgotten: int = Field(description="older runs that are no longer stored")
    rules: list[RuleCount]
    flagged: list[TriedRun] = Field(description="the newest first")
