"""Settings of a job that afterrun.yml accepts, out of those that a reader found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from afterrun_exporter.config.job_settings import job_findings
from afterrun_exporter.importers.model import Source, Unmapped
from afterrun_exporter.validation_messages import Path, show


def usable(
    settings: Mapping[str, Any], source: Source, title: str
) -> tuple[dict[str, Any], list[Unmapped]]:
    """Return the valid *settings*, and the invalid ones with their reasons.

    An invalid item of a list is left out alone, and any other setting as a whole.
    *title* is the name of the job in messages.
    """
    valid = {key: _copy(value) for key, value in settings.items()}
    unmapped: list[Unmapped] = []
    while problems := dict(_problems(valid)):
        # From the end, so that the positions of the other items stay.
        for path in sorted(problems, key=_position, reverse=True):
            text = f"{title}: {show(path)}: {_get(valid, path)}"
            unmapped.append(Unmapped(source, text, problems[path]))
            _remove(valid, path)
    if "timezone" in valid and valid.keys().isdisjoint({"schedule", "oncalendar"}):
        del valid["timezone"]
    return valid, unmapped


def _problems(settings: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield each part of *settings* to leave out, and the reason."""
    for finding in job_findings(settings):
        key = finding.path[0] if finding.path else next(iter(settings))
        is_item = len(finding.path) > 1 and isinstance(settings.get(str(key)), list)
        yield finding.path[:2] if is_item else (key,), finding.message


def _position(path: Path) -> tuple[str, int]:
    return str(path[0]), int(path[1]) if len(path) > 1 else -1


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _get(settings: Mapping[str, Any], path: Path) -> Any:
    value = settings[str(path[0])]
    return value[path[1]] if len(path) > 1 else value


def _remove(settings: dict[str, Any], path: Path) -> None:
    key = str(path[0])
    if len(path) == 1:
        del settings[key]
        return
    del settings[key][path[1]]
    if not settings[key]:
        del settings[key]
