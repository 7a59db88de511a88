"""How the families of jobs become lines of the text format.

A scrape of 100,000 jobs has more than three million lines, so this is where its
time goes: a family makes the lines of many jobs in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from afterrun_exporter.core.units import format_number
from afterrun_exporter.exposition.exposed_job import ExposedJob

#: The text between the braces, and the value.
Sample = tuple[str, float]

# Moments of one job, slots of many and thresholds of most are the same.
_number = lru_cache(1024)(format_number)


@dataclass(frozen=True, slots=True)
class Fact:
    """A metric family with one value of every job."""

    name: str
    type: str
    value: Callable[[ExposedJob], float]
    #: What a sample's name has after the family's: for summaries.
    suffix: str = ""

    def lines(self, subjects: Sequence[ExposedJob]) -> list[str]:
        """Return the sample of each of *subjects* as a line of the text format."""
        name, values = self.name + self.suffix, map(self.value, subjects)
        return [
            f"{name}{{{one.own}}} {_number(value)}\n" if value else name + one.zero
            for one, value in zip(subjects, values, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Alerting:
    """A metric family with one value of every job, and the labels of its alerts."""

    name: str
    type: str
    value: Callable[[ExposedJob], float]
    suffix: str = ""

    def lines(self, subjects: Sequence[ExposedJob]) -> list[str]:
        """Return the sample of each of *subjects* as a line of the text format."""
        name, values = self.name, map(self.value, subjects)
        return [
            f"{name}{{{one.alerting}}} {_number(value)}\n"
            for one, value in zip(subjects, values, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family to which jobs add as many samples as they have, often none."""

    name: str
    type: str
    samples: Callable[[ExposedJob], Sequence[Sample]]
    suffix: str = ""

    def lines(self, subjects: Sequence[ExposedJob]) -> list[str]:
        """Return the samples of each of *subjects* as lines of the text format."""
        name, samples = self.name, map(self.samples, subjects)
        return [
            "".join([f"{name}{{{told}}} {_number(value)}\n" for told, value in found])
            if found
            else ""
            for found in samples
        ]


Shape = Fact | Alerting | Family
