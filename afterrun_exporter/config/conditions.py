"""Schema of conditions on several runs or several jobs."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Any

from pydantic import Field, model_validator

from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.values import (
    Count,
    Factor,
    JobName,
    Line,
    NotEmpty,
    PositiveDuration,
    Severity,
    Share,
    distinct,
)
from afterrun_exporter.core.model import Average, Condition
from afterrun_exporter.core.open_runs import MAX_OPEN_RUNS
from afterrun_exporter.core.units import parse_duration

_WEEK = parse_duration("7d")


class SuccessRatioSpec(Spec):
    """``success_ratio:`` of a job's ``alerts:``."""

    below: Share
    over: PositiveDuration = _WEEK
    min_runs: Count = 5
    severity: Annotated[Severity | None, NotEmpty] = None


class SlowerThanSpec(Spec):
    """``slower_than:`` of a job's ``alerts:``."""

    factor: Factor
    than: Average = Field(default=Average.MEDIAN, strict=False)
    over: PositiveDuration = _WEEK
    min_runs: Count = 3
    severity: Annotated[Severity | None, NotEmpty] = None


class AlertSeveritiesSpec(Spec):
    """``severity:`` of a job's ``alerts:``, by condition."""

    missed: Annotated[Severity | None, NotEmpty] = None
    failing: Annotated[Severity | None, NotEmpty] = None
    violated: Annotated[Severity | None, NotEmpty] = None
    overrunning: Annotated[Severity | None, NotEmpty] = None
    slow: Annotated[Severity | None, NotEmpty] = None
    overlapping: Annotated[Severity | None, NotEmpty] = None
    success_ratio_low: Annotated[Severity | None, NotEmpty] = None


class AlertsSpec(Spec):
    """``alerts:`` of a job."""

    after_failures: Count = 1
    recover_after: Annotated[Count, Field(le=100)] = 1
    success_ratio: Annotated[SuccessRatioSpec | None, NotEmpty] = None
    slower_than: Annotated[SlowerThanSpec | None, NotEmpty] = None
    severity: Annotated[AlertSeveritiesSpec | None, NotEmpty] = None

    def severities(self) -> tuple[tuple[Condition, str], ...]:
        """Return the severities of conditions; those of a condition's own keys win."""
        own = {
            Condition.SLOW: self.slower_than and self.slower_than.severity,
            Condition.SUCCESS_RATIO_LOW: self.success_ratio
            and self.success_ratio.severity,
        }
        general = self.severity or AlertSeveritiesSpec()
        return tuple(
            (condition, severity)
            for name in AlertSeveritiesSpec.model_fields
            if (
                severity := own.get(condition := Condition(name))
                or getattr(general, name)
            )
        )


class ConcurrencySpec(Spec):
    """``concurrency:`` of a job."""

    # No more open runs of a job are stored.
    max: Annotated[Count, Field(le=MAX_OPEN_RUNS - 1)]
    by: Annotated[Line | None, NotEmpty] = None


class DependencySpec(Spec):
    """One of ``depends_on:``; a plain string is its ``job``."""

    job: JobName
    requires_success: bool = True

    @model_validator(mode="before")
    @classmethod
    def _text_is_job(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping) else {"job": value}


Dependencies = Annotated[tuple[DependencySpec, ...], distinct("job", attrgetter("job"))]
