"""Checks, as Healthchecks' management API has them, and jobs: one for the other.

https://healthchecks.io/docs/api/ has the fields. Nothing here knows of HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from afterrun_exporter.core.alerts import Status, status
from afterrun_exporter.core.crontab import five_fields
from afterrun_exporter.core.model import BLAMELESS, NEUTRAL, UUID, Job, Outcome, Run
from afterrun_exporter.core.names import job_slug, name_of
from afterrun_exporter.core.schedule import Cron, Every
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.errors import RequestError

#: Seconds that a period or a grace may have there.
SHORTEST: Final = 60
LONGEST: Final = 365 * 86400

#: Characters that a name or a slug may have there.
LONGEST_NAME: Final = 100

#: What the peer's complaints about a field begin with.
INVALID: Final = "json validation error: "

#: What a check has that is created without saying so.
USUAL: Final[Mapping[str, Any]] = {"timeout": 86400, "grace": 3600}

#: Fields by which a check may be looked up before another one is created.
UNIQUE: Final = ("name", "slug", "tags", "timeout", "grace")

#: What a check can be told there and a job here cannot, and why.
REFUSED: Final[Mapping[str, str]] = {
    "manual_resume": "a check is resumed by its next ping, or over the API",
    "methods": "any method is a ping",
    "filter_subject": "a ping says in its URL how it went",
    "filter_body": "a ping says in its URL how it went",
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
    """Where a check is reached, besides by its id."""

    #: The API, with its version: ``http://afterrun:10707/api/v3``.
    api: str
    #: What pings begin with: ``http://afterrun:10707/ping``.
    ping: str


def checked(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a check that are given; what is unknown is left out.

    Raises RequestError, in the peer's words, for one that cannot be.
    """
    for name, why in REFUSED.items():
        if told.get(name):
            raise RequestError(f"{INVALID}{name} is not taken: {why}")
    found: dict[str, Any] = {}
    for name, (kind, words) in _KINDS.items():
        if (value := told.get(name)) is None:
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RequestError(f"{INVALID}{name} is not {words}")
        found[name] = value
    _check_lengths(found)
    for name in found.get("unique", ()):
        if name not in UNIQUE:
            raise RequestError(f"{INVALID}unique contains an unknown value")
    return found


def words_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the fields of a check are in afterrun.yml."""
    words: dict[str, Any] = {}
    if "desc" in told:
        words["description"] = told["desc"]
    if "tags" in told:
        words["tags"] = list(dict.fromkeys(told["tags"].split()))
    # Who names both has a schedule, there as well.
    if told.get("schedule"):
        words["schedule"] = five_fields(told["schedule"])
        words["timezone"] = told.get("tz") or "UTC"
    elif "timeout" in told:
        words["every"] = f"{told['timeout']}s"
    if "grace" in told:
        words["grace"] = f"{told['grace']}s"
    return words


def changed(words: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return *words* with what a check is told now; the rest stays."""
    new = words_of(told)
    kept = dict(words)
    if told.get("tz") and "schedule" not in new and "schedule" in kept:
        new["timezone"] = told["tz"]
    if not new.keys().isdisjoint({"schedule", "every"}):
        for name in ("schedule", "timezone", "every"):
            kept.pop(name, None)
    return kept | new


def uuid_of(job: Job) -> str:
    """Return the UUID of a check: the job's own, or one that is made of its name."""
    return job.ping_uuid or made_of(job.name)


def made_of(name: str) -> str:
    """Return the UUID of a job *name* that has none of its own."""
    known = UUID.fullmatch(name) is not None
    return name if known else str(uuid5(NAMESPACE_URL, f"afterrun:{name}"))


def is_alike(job: Job, told: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Return whether *job* is what is *told* of a check, as far as *names* go."""
    mine = fields_of(job)
    return all(mine.get(name) == told.get(name) for name in names)


def fields_of(job: Job) -> dict[str, Any]:
    """Return what a check says of *job*, whatever its state."""
    schedule = job.schedule
    when: dict[str, Any] = {}
    if isinstance(schedule, Cron):
        when = {"schedule": schedule.text, "tz": schedule.zone}
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
    job: Job, state: JobState, now: float, due: float, links: Links, *, started: bool
) -> dict[str, Any]:
    """Return the check that stands for *job*, whose next slot is *due*.

    Where *started*, a run that is open is a status of its own, as in version 1.
    """
    uuid, running = uuid_of(job), bool(state.open_runs)
    where = f"{links.api}/checks/{uuid}"
    return {
        **fields_of(job),
        "uuid": uuid,
        "n_pings": state.recorded,
        "status": "started" if started and running else _status(job, state, now, due),
        "started": running,
        "last_ping": _told(state.last_ping_at),
        "next_ping": _told(due if due < math.inf else 0.0),
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
    """Return the ping that ended *run*; of who sent it nothing is kept."""
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
    """Return when a check went down and up, the newest first, *since* and *until* then.

    *spans* are when its alerts opened and resolved, in whatever order; it is down
    while any is open.
    """
    changes: list[tuple[float, int]] = []
    down_until = -math.inf
    for opened, resolved in sorted(spans, key=lambda span: span[0]):
        end = math.inf if resolved is None else resolved
        if opened > down_until:
            changes += [(opened, 0), (end, 1)]
        else:
            changes[-1] = (max(end, down_until), 1)
        down_until = max(end, down_until)
    told = ((at, up) for at, up in changes if since <= at <= until and at < math.inf)
    return [{"timestamp": format_time(at), "up": up} for at, up in told][::-1]


def _check_lengths(found: Mapping[str, Any]) -> None:
    for name in ("name", "slug"):
        if len(found.get(name, "")) > LONGEST_NAME:
            raise RequestError(f"{INVALID}{name} is too long")
    for name in ("timeout", "grace"):
        _check_span(name, found.get(name, SHORTEST))


def _check_span(name: str, seconds: int) -> None:
    if seconds < SHORTEST:
        raise RequestError(f"{INVALID}{name} is too small")
    if seconds > LONGEST:
        raise RequestError(f"{INVALID}{name} is too large")


def _status(job: Job, state: JobState, now: float, due: float) -> str:
    known = status(job, state)
    if known in {Status.PAUSED, Status.NEW}:
        return known.value
    if any(alert.key.condition not in BLAMELESS for alert in state.alerts):
        return "down"
    return "grace" if due < now else "up"


def _told(instant: float) -> str | None:
    return format_time(instant) if instant else None
