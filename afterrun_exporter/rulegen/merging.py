"""Merging of the generated configuration with an existing alertmanager.yml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from afterrun_exporter.core.routing import DISCARD
from afterrun_exporter.errors import GenerateError

#: A section of alertmanager.yml, or all of it.
Data = dict[str, Any]

# The keys of intervals, now and before Alertmanager 0.24.
_INTERVALS: Final = ("time_intervals", "mute_time_intervals")


def merged(ours: Data, base: Mapping[str, Any], file: str) -> Data:
    """Return *base*, the content of *file*, merged with *ours*.

    Routing of other alerts does not change. Raises GenerateError if a name is used twice,
    or if *base* is not a configuration of Alertmanager.
    """
    result = dict(base)
    result["global"] = {**ours["global"], **_section(base, "global", file)}
    result["route"] = _route(ours["route"], _section(base, "route", file), file)
    result["receivers"] = [
        *_named(base, "receivers", file),
        *_new_receivers(ours["receivers"], base, file),
    ]
    for key in ("templates", "inhibit_rules"):
        theirs = _list(base, key, file)
        result[key] = [*theirs, *(item for item in ours[key] if item not in theirs)]
    if "time_intervals" in ours:
        existing = {
            str(e["name"]) for key in _INTERVALS for e in _named(base, key, file)
        }
        _refuse_conflicts(
            "time interval",
            (e["name"] for e in ours["time_intervals"] if e["name"] in existing),
            file,
        )
        result["time_intervals"] = [
            *_list(base, "time_intervals", file),
            *ours["time_intervals"],
        ]
    return result


def has(base: Mapping[str, Any], key: str) -> bool:
    """Return True if ``global:`` of *base* has a key that begins with *key*."""
    section = base.get("global")
    return isinstance(section, Mapping) and any(
        str(name).startswith(key) for name in section
    )


def _route(ours: Data, theirs: Mapping[str, Any], file: str) -> Data:
    if "receiver" not in theirs:
        raise GenerateError(
            f"{file!r} has no route with a receiver: is it an alertmanager.yml?"
        )
    route = {"matchers": ['alertname =~ "AfterRun.+"'], **ours}
    return {**theirs, "routes": [route, *_list(theirs, "routes", file)]}


def _new_receivers(
    ours: Iterable[Data], base: Mapping[str, Any], file: str
) -> list[Data]:
    theirs = {str(entry["name"]): entry for entry in _named(base, "receivers", file)}
    if DISCARD in theirs and len(theirs[DISCARD]) == 1:
        # The base already has the empty receiver.
        ours = [entry for entry in ours if entry["name"] != DISCARD]
    ours = list(ours)
    _refuse_conflicts(
        "receiver", (e["name"] for e in ours if e["name"] in theirs), file
    )
    return ours


def _refuse_conflicts(what: str, conflicts: Iterable[str], file: str) -> None:
    if duplicates := sorted(conflicts):
        names = ", ".join(map(repr, duplicates))
        raise GenerateError(
            f"{what} {names} is in alertmanager: of afterrun.yml and in its base "
            f"{file!r}: rename one of the two"
        )


def _section(data: Mapping[str, Any], key: str, file: str) -> Mapping[str, Any]:
    section = data.get(key)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise GenerateError(f"{key} of {file!r} is not keys and values")
    return section


def _list(data: Mapping[str, Any], key: str, file: str) -> list[Any]:
    entries = data.get(key)
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise GenerateError(f"{key} of {file!r} is not a list")
    return entries


def _named(data: Mapping[str, Any], key: str, file: str) -> list[Any]:
    entries = _list(data, key, file)
    # Alertmanager accepts numbers as names.
    if not all(
        isinstance(e, Mapping) and isinstance(e.get("name"), str | int | float)
        for e in entries
    ):
        raise GenerateError(f"{key} of {file!r} has an entry without a name")
    return entries
