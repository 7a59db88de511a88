"""Parsing of durations, metrics and ``name=value`` pairs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from afterrun_exporter.client.plurals import plural

#: Prefix of a line of standard output that reports metrics.
MARK: Final = "afterrun:"

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_PAIR: Final = re.compile(r"([^\s=]+)(?:\s*=\s*|\s+)(\S+)")


def duration(text: str) -> float:
    """Return the seconds of a duration like 1h30m; raises ValueError if malformed."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 15m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def pair(text: str) -> tuple[str, str]:
    """Return the two sides of ``name=value``; raises ValueError if malformed."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals):
        raise ValueError(f"{text!r} is not a pair; write it like name=value")
    return name.strip(), value.strip()


def number(name: str, value: Any) -> float:
    """Return the value of metric *name*; raises ValueError if it is not finite."""
    parsed = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            parsed = float(value)
    if not math.isfinite(parsed):
        raise ValueError(f"metric {name}={str(value)[:40]!r} is not a number")
    # 42 rows are reported as 42 and not as 42.0.
    return int(parsed) if parsed.is_integer() and abs(parsed) < 2**53 else parsed


class Metrics:
    """The metrics of a run, and the problems of malformed ones."""

    #: Several times the number of metrics that a daemon keeps of a job by default.
    LIMIT: Final = 500
    MAX_PROBLEMS: Final = 10

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.problems: list[str] = []
        self.further_problems = 0

    def copy(self) -> Metrics:
        """Return a copy that later additions do not change."""
        other = Metrics()
        other.values, other.problems = dict(self.values), list(self.problems)
        other.further_problems = self.further_problems
        return other

    def add(self, name: str, value: Any) -> None:
        """Add one metric; a malformed one is recorded as a problem."""
        try:
            parsed = number(name, value)
        except ValueError as error:
            self.add_problem(str(error))
            return
        if name not in self.values and len(self.values) >= self.LIMIT:
            self.add_problem(f"metric {name!r} is ignored: the limit is {self.LIMIT}")
            return
        self.values[name] = parsed

    def add_pairs(self, texts: Iterable[str]) -> None:
        """Add metrics from ``name=value`` texts."""
        for text in texts:
            try:
                name, value = pair(text)
            except ValueError as error:
                self.add_problem(str(error))
            else:
                self.add(name, value)

    def add_line(self, line: str) -> None:
        """Add the metrics of a line such as ``afterrun: rows=42 bytes=10``."""
        words = line.strip().removeprefix(MARK).replace(",", " ").split()
        self.add_pairs(words)

    def add_file(self, text: str, where: str) -> None:
        """Add metrics: a JSON object, or a ``name=value`` or ``name value`` per line."""
        if text.lstrip().startswith("{"):
            self._add_json(text, where)
            return
        for count, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if (match := _PAIR.fullmatch(line.strip())) is None:
                self.add_problem(
                    f"{where}:{count}: {line.strip()[:40]!r} is not a metric; write it "
                    "like rows_processed=42"
                )
            else:
                self.add(*match.groups())

    def add_problem(self, text: str) -> None:
        """Record the reason why a metric is missing."""
        # A bad line may repeat a thousand times; only the first few are printed.
        if len(self.problems) < self.MAX_PROBLEMS:
            self.problems.append(text)
        else:
            self.further_problems += 1

    def all_problems(self) -> list[str]:
        """Return the problems, and the number of omitted ones."""
        if not self.further_problems:
            return self.problems
        return [
            *self.problems,
            f"and {plural(self.further_problems, 'further bad metric')}",
        ]

    def _add_json(self, text: str, where: str) -> None:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.add_problem(f"{where}: not a JSON object: {error}")
            return
        for name, value in values.items():
            self.add(name, value)


def pairs(texts: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the parsed ``name=value`` texts, and the problems of malformed ones."""
    parsed: dict[str, str] = {}
    problems: list[str] = []
    for text in texts:
        try:
            name, value = pair(text)
        except ValueError as error:
            problems.append(str(error))
        else:
            parsed[name] = value
    return parsed, problems
