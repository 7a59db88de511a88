"""``exposition:``, the choice of series."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator

from afterrun_exporter import conventions as names
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.values import Line, ListOf, distinct
from afterrun_exporter.core.did_you_mean import unknown_value

_FAMILIES: Final = tuple(
    name.removeprefix(names.OF_JOB)
    for name in names.HELP
    if name.startswith(names.OF_JOB)
)
_NEEDED: Final = {
    name.removeprefix(names.OF_JOB): reason for name, reason in names.NEEDED_BY.items()
}
_CHOICES: Final = tuple(name for name in _FAMILIES if name not in _NEEDED)


def _family(text: str) -> str:
    """Return the whole name of the family *text*, which may lack the common prefix."""
    name = text.removeprefix(names.OF_JOB)
    if name in _NEEDED:
        raise ValueError(
            f"{name!r} cannot be disabled: {_NEEDED[name]} would not work without it"
        )
    if name not in _CHOICES:
        raise ValueError(unknown_value("family", text, _CHOICES))
    return names.OF_JOB + name


FamilyName = Annotated[Line, AfterValidator(_family)]


class ExpositionSpec(Spec):
    """``exposition:`` of the metrics of jobs."""

    #: Families of jobs that are not exposed.
    disable: Annotated[tuple[FamilyName, ...], ListOf, distinct("family")] = ()
