"""What people write, to values: durations, metrics, pairs. Nothing else happens here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

#: What jobs begin a line with to report metrics on their standard output.
MARK: Final = "afterrun:"

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_PAIR: Final = re.compile(r"([^\s=]+)(?:\s*=\s*|\s+)(\S+)")


def duration(text: str) -> float:
    """Return the seconds that *text* stands for; raises ValueError if none."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 15m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def pair(text: str) -> tuple[str, str]:
    """Return the two sides of ``name=value``; raises ValueError if there are none."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals):
        raise ValueError(f"{text!r} is not a pair; write it like name=value")
    return name.strip(), value.strip()


def number(name: str, value: Any) -> float:
    """Return what metric *name* is; raises ValueError if it is no finite number."""
    found = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"metric {name}={str(value)[:40]!r} is not a number")
    # 42 rows are reported as 42 and not as 42.0.
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


class Metrics:
    """Metrics as they are found, and what was wrong with the others."""

    #: More than that a daemon does not keep of a job by default, many times over.
    LIMIT: Final = 500
    MAX_PROBLEMS: Final = 10

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.problems: list[str] = []
        self.further_problems = 0

    def copy(self) -> Metrics:
        """Return metrics that do not change when more are found."""
        other = Metrics()
        other.values, other.problems = dict(self.values), list(self.problems)
        other.further_problems = self.further_problems
        return other

    def add(self, name: str, value: Any) -> None:
        """Take one; a bad one is a problem, and costs nothing else."""
        try:
            found = number(name, value)
        except ValueError as error:
            self.add_problem(str(error))
            return
        if name not in self.values and len(self.values) >= self.LIMIT:
            self.add_problem(f"metric {name!r} is one too many: {self.LIMIT} are sent")
            return
        self.values[name] = found

    def add_pairs(self, texts: Iterable[str]) -> None:
        """Take what ``name=value`` texts say."""
        for text in texts:
            try:
                name, value = pair(text)
            except ValueError as error:
                self.add_problem(str(error))
            else:
                self.add(name, value)

    def add_line(self, line: str) -> None:
        """Take what a line such as ``afterrun: rows=42 bytes=10`` says."""
        words = line.strip().removeprefix(MARK).replace(",", " ").split()
        self.add_pairs(words)

    def add_file(self, text: str, where: str) -> None:
        """Take what a file says: a JSON object, or a ``name=value`` or ``name value`` a line."""
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
        """Note why a metric is missing."""
        # Of a bad line that is written a thousand times the first few are printed.
        if len(self.problems) < self.MAX_PROBLEMS:
            self.problems.append(text)
        else:
            self.further_problems += 1

    def all_problems(self) -> list[str]:
        """Return the problems, and the number of those that are left out."""
        if not self.further_problems:
            return self.problems
        return [*self.problems, f"and {self.further_problems} further bad metrics"]

    def _add_json(self, text: str, where: str) -> None:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.add_problem(f"{where}: no JSON object: {error}")
            return
        for name, value in found.items():
            self.add(name, value)


def pairs(texts: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return what ``name=value`` texts say, and what is wrong with the others."""
    found: dict[str, str] = {}
    problems: list[str] = []
    for text in texts:
        try:
            name, value = pair(text)
        except ValueError as error:
            problems.append(str(error))
        else:
            found[name] = value
    return found, problems
