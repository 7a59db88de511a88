"""Which rules may be tried on the runs of a job, and what comes of it."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from afterrun_exporter.api.parameter_types import Since
from afterrun_exporter.api.response_models import Answer, Time, Violation
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.rule_lines import FewRules
from afterrun_exporter.core.backtest import MOST_SHOWN, Change
from afterrun_exporter.core.model import Outcome

#: All that come with a reason to look at them.
Shown = Literal["newly_flagged", "no_longer_flagged", "flagged_by_both", "unknown"]


class RulesToTry(Spec):
    """Rules to try on the runs of a job, written as in afterrun.yml."""

    rules: FewRules | None = Field(
        None,
        description="left out: those that the job has now",
        examples=[["rows_processed > 100", {"expr": "size > 1KiB", "name": "size"}]],
    )
    add: bool = Field(
        default=False,
        description="beside the rules that the job has; one of the same name takes "
        "the place of the job's",
    )
    said: bool = Field(
        default=False,
        description="beside the rules that a client has given the job, where no file "
        "names it; one of the same name is the client's",
    )
    since: Since | None = Field(
        None,
        description="count runs that ended since a time, or so long ago at most",
        examples=["30d"],
    )
    changes: Annotated[tuple[Shown, ...], Field(strict=False)] = Field(
        get_args(Shown), description="tell of runs that came to one of these"
    )
    limit: Annotated[int, Field(ge=1, le=MOST_SHOWN)] = Field(
        100, description="how many runs to tell of at most, the newest; all are counted"
    )


class TriedRun(Answer):
    """A run that would be flagged, or was, or of which that cannot be told."""

    number: int
    run_id: str | None
    attempt: int
    outcome: Outcome
    finished_at: Time
    change: Change
    would_break: list[Violation]
    broke: list[Violation] = Field(description="what was recorded")
    unknown: list[str] = Field(description="rules it cannot be held against")


class RuleCount(Answer):
    """How often one rule flags."""

    rule: str
    metric: str
    tried: bool = Field(description="false: it was recorded, and is not tried")
    would_flag: int
    was_flagged: int
    not_reported: int = Field(
        description="of those it would flag, runs that did not report the metric"
    )
    unknown: int


class BacktestResult(Answer):
    """What rules would have flagged of the runs of a job, against what was flagged."""

    job: str
    headline: str = Field(description="all of it in a sentence")
    warnings: list[str] = Field(description="rules that may be misspelt")
    gaps: list[str] = Field(description="what history cannot tell")
    since: Time | None = Field(description="when the first run counted ended")
    until: Time | None = Field(description="when the last run counted ended")
    runs: int = Field(description="runs counted")
    judged: int = Field(description="those that said that they were ok")
    would_flag: int
    was_flagged: int
    changes: dict[Change, int] = Field(description="how many runs came to what")
    forgotten: int = Field(description="older runs that are not kept any more")
    rules: list[RuleCount]
    flagged: list[TriedRun] = Field(description="the newest first")
