"""Schema of ``push:`` of a job: the meaning of pushed metrics."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.values import Line, NotEmpty
from afterrun_exporter.core.outcome_metrics import PushSettings
from afterrun_exporter.validation_messages import quote

#: The maximum number of patterns of a key, and the maximum length of a pattern.
MOST: Final = 100
LONGEST: Final = 500


def _glob(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError(
            f"{quote(text)} is too long for a pattern: at most {LONGEST} characters"
        )
    return text


def _as_list(value: object) -> object:
    """Return a single pattern as a list of one."""
    patterns = value if isinstance(value, list) else [value]
    if not patterns:
        raise ValueError("empty: add a metric or remove the key")
    if len(patterns) > MOST:
        raise ValueError(f"too many patterns: at most {MOST}")
    return tuple(patterns)


Globs = Annotated[
    tuple[Annotated[Line, AfterValidator(_glob)], ...],
    BeforeValidator(_as_list),
    NotEmpty,
]


class PushSpec(Spec):
    """``push:`` of a job."""

    success_metric: Globs | None = None
    duration_metric: Globs | None = None
    ignore: Globs | None = None
    progress: bool = False

    def settings(self) -> PushSettings:
        return PushSettings(
            success_metric=self.success_metric or (),
            duration_metric=self.duration_metric or (),
            ignore=self.ignore or (),
            progress=self.progress,
        )
