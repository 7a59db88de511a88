"""``push:`` of a job: the meaning of what it pushes as to a Pushgateway."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.error_messages import quote
from afterrun_exporter.config.values import Given, Line
from afterrun_exporter.core.push_signs import PushSettings

#: Patterns that one key may have, and characters that one may have.
MOST: Final = 100
LONGEST: Final = 500


def _glob(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError(
            f"{quote(text)} is too long for a pattern: at most {LONGEST} characters"
        )
    return text


def _listed(value: object) -> object:
    """Return a single pattern as a list of one."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("empty: name a metric or remove the line")
    if len(listed) > MOST:
        raise ValueError(f"too many patterns: at most {MOST}")
    return tuple(listed)


Globs = Annotated[
    tuple[Annotated[Line, AfterValidator(_glob)], ...],
    BeforeValidator(_listed),
    Given,
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
