"""Encoding of the families of jobs as lines of the text format.

A scrape of 100,000 jobs has more than three million lines, so this code dominates its
time: each call encodes the lines of many jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.units import format_number
from afterrun_exporter.exposition.exposed_job import ExposedJob

#: The text between the braces, and the value.
Sample = tuple[str, float]

# Many values are equal, such as slots of many jobs and thresholds.
_number = lru_cache(1024)(format_number)


@dataclass(frozen=True, slots=True)
class Fact:
    """A metric family with one value of every job."""

    name: str
    type: str
    value: Callable[[ExposedJob], float]

    def lines(self, subjects: Sequence[ExposedJob]) -> list[str]:
        """Return the sample of each of *subjects* as a line of the text format."""
        name, values = self.name, map(self.value, subjects)
        return [
            f"{name}{{{one.own}}} {_number(value)}\n" if value else name + one.zero
            for one, value in zip(subjects, values, strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting(Fact):
    """A metric family with one value of every job, and the labels of its alerts."""

    condition: Condition

    def lines(self, subjects: Sequence[ExposedJob]) -> list[str]:
        """Return the sample of each of *subjects* as a line of the text format."""
        name, values = self.name, map(self.value, subjects)
        condition = self.condition
        return [
            f"{name}{{{one.alerting_on(condition)}}} {_number(value)}\n"
            for one, value in zip(subjects, values, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family with any number of samples per job, often none."""

    name: str
    type: str
    samples: Callable[[ExposedJob], Sequence[Sample]]

    def lines(self, subjects: Sequence[ExposedJob]) -> list[str]:
        """Return the samples of each of *subjects* as lines of the text format."""
        name, samples = self.name, map(self.samples, subjects)
        return [
            "".join(
                [f"{name}{{{labels}}} {_number(value)}\n" for labels, value in samples]
            )
            if samples
            else ""
            for samples in samples
        ]


@dataclass(frozen=True, slots=True)
class Summary:
    """A metric family with a sum and a count of every job."""

    name: str
    type: str
    sum: Callable[[ExposedJob], float]
    count: Callable[[ExposedJob], float]

    def lines(self, subjects: Sequence[ExposedJob]) -> list[str]:
        """Return both samples of each of *subjects* as lines of the text format."""
        sum_, count = f"{self.name}_sum", f"{self.name}_count"
        # OpenMetrics requires the samples of a job to be together.
        return [
            f"{sum_}{{{one.own}}} {_number(self.sum(one))}\n"
            f"{count}{{{one.own}}} {_number(self.count(one))}\n"
            for one in subjects
        ]


Shape = Fact | Family | Summary
