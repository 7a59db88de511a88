"""Checks of what every importer returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from afterrun_exporter.config.loading import parse
from afterrun_exporter.importers.merging import merge
from afterrun_exporter.importers.model import Imported, InputFile
from afterrun_exporter.importers.writing import render, validated

Read = Callable[[Sequence[InputFile]], Imported]


def imported(read: Read, *texts: str, name: str = "input") -> Imported:
    """Return the result for *texts*, which must be a valid, stable afterrun.yml."""
    files = [
        InputFile(f"{name}{number or ''}", text) for number, text in enumerate(texts)
    ]
    return checked(read, files)


def checked(read: Read, files: Sequence[InputFile]) -> Imported:
    """Return the result for *files*, which must be a valid, stable afterrun.yml."""
    result = read(files)
    text = render(result)
    parse(text, on_disk=False)
    assert validated(result) == result
    assert render(read(files)) == text
    again = merge(text, result)
    assert (again.text, again.conflicts) == (text, ())
    assert list(result.unmapped) == sorted(set(result.unmapped))
    return result


def settings(result: Imported) -> dict[str, Mapping[str, Any]]:
    """Return the settings of each job by name."""
    return {job.name: job.settings for job in result.jobs}


def reports(result: Imported) -> list[str]:
    """Return what is not mapped, as it is printed."""
    return [str(one) for one in result.unmapped]
