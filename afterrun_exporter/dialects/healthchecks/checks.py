"""Conversion between checks of Healthchecks' management API and jobs.

https://healthchecks.io/docs/api/ documents the fields. This module does not depend on
HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from afterrun_exporter.core.crontab import five_fields
from afterrun_exporter.core.model import BLAMELESS, NEUTRAL, UUID, Job, Outcome, Run
from afterrun_exporter.core.names import job_slug, name_of
from afterrun_exporter.core.schedule import Calendar, Every, syntax_of
from afterrun_exporter.core.schedules.slots import Syntax
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.errors import RequestError

#: The settings with a schedule, of which a job has one.
_SCHEDULES: Final = frozenset({"schedule", "oncalendar", "every"})
_KEYS: Final = {Syntax.CRON: "schedule", Syntax.ONCALENDAR: "oncalendar"}

#: Limits of Healthchecks for a period or a grace, in seconds.
SHORTEST: Final = 60
LONGEST: Final = 365 * 86400

#: Limit of Healthchecks for the characters of a name or a slug.
LONGEST_NAME: Final = 100

#: The beginning of Healthchecks' error messages about a field.
INVALID: Final = "json validation error: "

#: Defaults of a new check.
USUAL: Final[Mapping[str, Any]] = {"timeout": 86400, "grace": 3600}

#: Fields by which a check may be looked up before another one is created.
UNIQUE: Final = ("name", "slug", "tags", "timeout", "grace")

#: Fields of a check that a job does not support, and the reason.
REFUSED: Final[Mapping[str, str]] = {
    "manual_resume": "a check is resumed by its next ping, or over the API",
    "methods": "requests with any method are pings",
    "filter_subject": "the URL of a ping reports the outcome",
    "filter_body": "the URL of a ping reports the outcome",
}

_KINDS: Final[Mapping[str, tuple[type, str]]] = {
    "name": (str, "a string"),
    "slug": (str, "a string"),
    "tags": (str, "a string"),
    "desc": (str, "a string"),
    "timeout": (int, "a number"),
    "grace": (int, "a number"),
    "schedule": (str, "a string"),
    "tz": (str, "a string"),
    "unique": (list, "an array"),
}


@dataclass(frozen=True, slots=True)
class Links:
    """The base URLs of the links in a check."""

    #: The API, with its version: ``http://afterrun:10707/api/v3``.
    api: str
    #: The base URL of pings: ``http://afterrun:10707/ping``.
    ping: str


def validated(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the validated fields of a check, without unknown ones.

    Raises RequestError with Healthchecks' message for an invalid field.
    """
    for name, why in REFUSED.items():
        if payload.get(name):
            raise RequestError(f"{INVALID}{name} is not supported: {why}")
    fields: dict[str, Any] = {}
    for name, (kind, expected) in _KINDS.items():
        if (value := payload.get(name)) is None:
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RequestError(f"{INVALID}{name} is not {expected}")
        fields[name] = value
    _check_lengths(fields)
    for name in fields.get("unique", ()):
        if name not in UNIQUE:
            raise RequestError(f"{INVALID}unique contains an unknown value")
    return fields


def description_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a check as a description of a job."""
    description: dict[str, Any] = {}
    if "desc" in fields:
        description["description"] = fields["desc"]
    if "tags" in fields:
        description["tags"] = list(dict.fromkeys(fields["tags"].split()))
    # As in Healthchecks, a schedule takes precedence over a timeout.
    if lines := [
        line for line in fields.get("schedule", "").splitlines() if line.strip()
    ]:
        description |= _expressions([five_fields(line) for line in lines])
        description["timezone"] = fields.get("tz") or "UTC"
    elif "timeout" in fields:
        description["every"] = f"{fields['timeout']}s"
    if "grace" in fields:
        description["grace"] = f"{fields['grace']}s"
    return description


def _expressions(lines: list[str]) -> dict[str, Any]:
    """Return the setting with the expressions of *lines*."""
    return {_KEYS[syntax_of(lines)]: lines[0] if len(lines) == 1 else lines}


def updated_description(
    description: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return *description* updated by the fields of a check."""
    new = description_of(fields)
    settings = dict(description)
    is_new = not new.keys().isdisjoint(_SCHEDULES)
    if is_new:
        for name in (*_SCHEDULES, "timezone"):
            settings.pop(name, None)
    elif fields.get("tz") and not settings.keys().isdisjoint(_KEYS.values()):
        new["timezone"] = fields["tz"]
    return settings | new


def uuid_of(job: Job) -> str:
    """Return the UUID of a check: the job's own, or one derived from its name."""
    return job.ping_uuid or derived_uuid(job.name)


def derived_uuid(name: str) -> str:
    """Return the UUID derived from a job name."""
    is_uuid = UUID.fullmatch(name) is not None
    return name if is_uuid else str(uuid5(NAMESPACE_URL, f"afterrun:{name}"))


def is_alike(job: Job, fields: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Return True if *job* equals the check in the fields *names*."""
    own = fields_of(job)
    return all(own.get(name) == fields.get(name) for name in names)


def fields_of(job: Job) -> dict[str, Any]:
    """Return the fields of the check for *job* that do not depend on its state."""
    schedule = job.schedule
    when: dict[str, Any] = {}
    if isinstance(schedule, Calendar):
        when = {"schedule": "\n".join(schedule.expressions), "tz": schedule.zone}
    elif isinstance(schedule, Every):
        when = {"timeout": int(schedule.period)}
    return {
        "name": name_of(job),
        "slug": job_slug(job),
        "tags": " ".join(job.tags),
        "desc": job.description,
        "grace": int(job.grace),
        **when,
    }


def check_object(
    job: Job,
    state: JobState,
    now: float,
    due: float,
    links: Links,
    *,
    started_status: bool,
) -> dict[str, Any]:
    """Return the check object for *job*, whose next slot is *due*.

    If *started_status*, an open run is reported as the status "started", as in version 1.
    """
    uuid, running = uuid_of(job), bool(state.open_runs)
    where = f"{links.api}/checks/{uuid}"
    return {
        **fields_of(job),
        "uuid": uuid,
        "n_pings": state.recorded,
        "status": "started"
        if started_status and running
        else _status(job, state, now, due),
        "started": running,
        "last_ping": _time_or_none(state.last_ping_at),
        "next_ping": _time_or_none(due if due < math.inf else 0.0),
        "last_duration": None
        if state.last_duration is None
        else int(state.last_duration),
        "manual_resume": False,
        "methods": "",
        "ping_url": f"{links.ping}/{uuid}",
        "update_url": where,
        "pause_url": f"{where}/pause",
        "resume_url": f"{where}/resume",
        "channels": "",
    }


def ping_object(run: Run) -> dict[str, Any]:
    """Return the ping object for the end of *run*; the sender is not stored."""
    failed = run.outcome not in {Outcome.OK, Outcome.VIOLATED, *NEUTRAL}
    return {
        "type": "fail" if failed else "success",
        "date": format_time(run.finished_at),
        "n": run.number,
        "scheme": "http",
        "remote_addr": "",
        "method": "",
        "ua": "",
        "rid": run.run_id,
        "duration": run.duration,
        "exitstatus": run.exit_code,
    }


def flips(
    spans: Iterable[tuple[float, float | None]],
    since: float = -math.inf,
    until: float = math.inf,
) -> list[dict[str, Any]]:
    """Return the changes of a check to down and up within a range, the newest first.

    *spans* are the times at which its alerts opened and resolved, in any order; the
    check is down while any alert is open.
    """
    changes: list[tuple[float, int]] = []
    down_until = -math.inf
    for opened_at, resolved in sorted(spans, key=lambda span: span[0]):
        end = math.inf if resolved is None else resolved
        if opened_at > down_until:
            changes += [(opened_at, 0), (end, 1)]
        else:
            changes[-1] = (max(end, down_until), 1)
        down_until = max(end, down_until)
    selected = (
        (at, up) for at, up in changes if since <= at <= until and at < math.inf
    )
    return [{"timestamp": format_time(at), "up": up} for at, up in selected][::-1]


def _check_lengths(fields: Mapping[str, Any]) -> None:
    for name in ("name", "slug"):
        if len(fields.get(name, "")) > LONGEST_NAME:
            raise RequestError(f"{INVALID}{name} is too long")
    for name in ("timeout", "grace"):
        _check_span(name, fields.get(name, SHORTEST))


def _check_span(name: str, seconds: int) -> None:
    if seconds < SHORTEST:
        raise RequestError(f"{INVALID}{name} is too small")
    if seconds > LONGEST:
        raise RequestError(f"{INVALID}{name} is too large")


def _status(job: Job, state: JobState, now: float, due: float) -> str:
    if not job.enabled:
        return "paused"
    if any(alert.key.condition not in BLAMELESS for alert in state.alerts):
        return "down"
    if state.last_outcome is None:
        return "new"
    return "grace" if due < now else "up"


def _time_or_none(instant: float) -> str | None:
    return format_time(instant) if instant else None
