"""Sentry monitors as settings of afterrun.yml.

https://develop.sentry.dev/sdk/telemetry/check-ins/ documents the fields of a
``monitor_config``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from afterrun_exporter.core.crontab import five_fields

#: Days per unit: the longest possible, so that no run is reported late too early.
_DAYS: Final[Mapping[str, int]] = {"year": 366, "month": 31, "week": 7, "day": 1}
_MINUTES: Final[Mapping[str, int]] = {
    "minute": 1,
    "hour": 60,
    **{unit: days * 1440 for unit, days in _DAYS.items()},
}

#: The largest limit, in minutes: a year.
MOST: Final = 366 * 1440


def description_of(config: object) -> tuple[dict[str, Any], list[str]]:
    """Return *config* as settings of afterrun.yml, and the problems of invalid fields.

    Unknown fields are ignored.
    """
    if not isinstance(config, Mapping):
        return {}, [f"monitor_config is {config!r:.40}: use an object"]
    problems: list[str] = []

    def number(name: str, least: int) -> int | None:
        if (value := config.get(name)) is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            problems.append(f"{name} is {value!r:.40}: use a whole number")
        elif not 0 <= value <= MOST:
            problems.append(
                f"{name} is {value}: use at most {MOST}, and not less than 0"
            )
        else:
            return max(value, least)
        return None

    description: dict[str, Any] = {}
    # Like Sentry, treat a margin of 0 as one minute.
    if margin := number("checkin_margin", 1):
        description["grace"] = f"{margin}m"
    if limit := number("max_runtime", 1):
        description["max_runtime"] = f"{limit}m"
    thresholds = {
        "after_failures": number("failure_issue_threshold", 1),
        "recover_after": number("recovery_threshold", 1),
    }
    if alerts := {name: value for name, value in thresholds.items() if value}:
        description["alerts"] = alerts
    description |= _when(config, problems)
    return description, problems


def _when(config: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    schedule = config.get("schedule")
    if schedule is None:
        return {}
    schedule_fields = schedule if isinstance(schedule, Mapping) else {}
    settings: dict[str, Any] = {}
    if schedule_fields.get("type") == "crontab":
        settings = dict(_crontab(config, schedule_fields))
    elif schedule_fields.get("type") == "interval":
        settings = dict(_interval(schedule_fields))
    if not settings:
        problems.append(
            f"schedule is {schedule!r:.80}: use a crontab with a value, or an interval "
            f"with a value of 1 or more and a unit of {', '.join(_MINUTES)}"
        )
    return settings


def _crontab(
    config: Mapping[str, Any], schedule_fields: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    if isinstance(value := schedule_fields.get("value"), str) and value.strip():
        yield "schedule", five_fields(value)
        yield "timezone", str(config.get("timezone") or "UTC")


def _interval(schedule_fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    value = schedule_fields.get("value")
    minutes = _MINUTES.get(str(schedule_fields.get("unit")), 0)
    if isinstance(value, bool) or not isinstance(value, int):
        return
    if 0 < value * minutes <= MOST:
        yield "every", f"{value * minutes}m"
