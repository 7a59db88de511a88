"""What tests resulted in, and a table of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

#: Of a part of which no test ran, or that this row does not have.
NOTHING: Final = "-"


@dataclass(slots=True)
class Count:
    """Tests that passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        words = [f"{self.passed:,} passed"] if self.passed else []
        words += [f"{self.failed:,} FAILED"] if self.failed else []
        words += [f"{self.skipped:,} skipped"] if self.skipped else []
        return ", ".join(words) or NOTHING


def counts(report: Path, parts: Mapping[str, Sequence[str]]) -> dict[str, Count]:
    """Return the results in a JUnit *report*, by part.

    A part is a list of files and folders of tests. What belongs to none, such as an
    error of pytest itself, is in the first one.
    """
    results = {part: Count() for part in parts}
    modules = {
        path.removesuffix(".py").replace("/", "."): part
        for part, paths in parts.items()
        for path in paths
    }
    first = next(iter(parts))
    # Written by our own pytest.
    for case in ET.parse(report).iter("testcase"):  # noqa: S314
        name = f"{case.get('classname')}."
        part = next(
            (modules[one] for one in modules if name.startswith(f"{one}.")), first
        )
        count = results[part]
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed += 1
        elif case.find("skipped") is not None:
            count.skipped += 1
        else:
            count.passed += 1
    return results


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return *rows*, of column and text, as lines of columns."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [
        columns,
        *([row.get(column, NOTHING) for column in columns] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) for text, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in cells
    )
