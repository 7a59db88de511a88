"""What a request to Healthchecks' pinging API says, whichever address it came to.

A signal is a verb or an exit status; without one the job ran, and ran well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec.structs import replace

from afterrun_exporter.core.model import FAILURES, UUID, Kind, Outcome, Ping
from afterrun_exporter.errors import PingError, RequestError
from afterrun_exporter.ingest import checks, reports
from afterrun_exporter.ingest.desk import numbers
from afterrun_exporter.ingest.jsontext import read_json
from afterrun_exporter.ingest.readings import Readings
from afterrun_exporter.ingest.vocabulary import STATUSES

#: What the words in a URL are in a report of our own.
VERBS: Final[Mapping[str, str]] = {
    "": "ok",
    "start": "start",
    "fail": "fail",
    "log": "log",
}
#: The last path segment, where it is not a slug.
SIGNAL: Final = re.compile(r"start|fail|log|[0-9]+")
MAX_EXIT_STATUS: Final = 255

DURATIONS: Final = frozenset({"duration_ms", "duration_seconds"})
#: Parameters that say what a new check is like, and are no metrics.
SCHEDULE: Final = frozenset({"timeout", "grace", "schedule", "tz"})
NO_METRICS: Final = SCHEDULE | {"rid", "create"}
CREATE: Final = ("create", "1")

FORM: Final = "application/x-www-form-urlencoded"

#: The peer's own words: clients look for them.
BAD_URL: Final = "invalid url format"
BAD_RID: Final = "invalid uuid format"
NOT_FOUND: Final = "not found"

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Said:
    """What a request says about a job."""

    #: A verb or an exit status; "" for a success.
    signal: str = ""
    #: The parameters, in their order.
    query: tuple[tuple[str, str], ...] = ()
    text: str = ""
    #: Whether `text` may be a form.
    form: bool = False


def ping_of(
    job: str, said: Said, *, at: float, fingerprint: bytes, metrics_limit: int
) -> tuple[Ping, Readings]:
    """Return the ping that *said* stands for, and what became of its metrics.

    Raises PingError, in the peer's words, for a signal or a run id that is none.
    """
    found = _numbers(said)
    fields: dict[str, Any] = {
        **(_confessed(found, said) or _signal(said.signal)),
        **{name: found.pop(name) for name in DURATIONS & found.keys()},
        "run_id": _run_id(said.query),
        "message": said.text,
        "metrics": found,
    }
    ping, readings = reports.ping_of(
        job, fields, at=at, fingerprint=fingerprint, metrics_limit=metrics_limit
    )
    if CREATE in said.query:
        return ping, readings
    unread = tuple(
        f"{name} is read of a job that is new, with create=1"
        for name, _ in said.query
        if name in SCHEDULE
    )
    return replace(ping, warnings=(*ping.warnings, *unread)), readings


def description_of(said: Said) -> tuple[dict[str, Any], list[str]]:
    """Return the description of a new job in the words of afterrun.yml.

    With it come the parameters that cannot be used, and why.
    """
    if CREATE not in said.query:
        return {}, []
    told: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in dict(said.query).items():
        if name not in SCHEDULE or not value:
            continue
        try:
            told |= checks.checked({name: _parameter(name, value)})
        except RequestError as error:
            problems.append(str(error).removeprefix(checks.INVALID))
    return checks.words_of(told), problems


def _parameter(name: str, value: str) -> str | int:
    if name not in checks.USUAL:
        return value
    if not _SECONDS.fullmatch(value):
        raise RequestError(f"{name} is {value[:40]!r}: use a number of seconds")
    return int(value)


def _signal(signal: str) -> dict[str, Any]:
    """Return the fields of a report that *signal* stands for."""
    if (verb := VERBS.get(signal)) is not None:
        return {"status": verb}
    # Thousands of digits are too many for int().
    digits = signal.lstrip("0") or "0"
    if len(digits) > 3 or int(digits) > MAX_EXIT_STATUS:
        raise PingError(BAD_URL)
    return {"exit_code": int(digits)}


def _run_id(query: tuple[tuple[str, str], ...]) -> str | None:
    """Return what names the run: the last ``rid``; an empty one is none."""
    rid = dict(query).get("rid", "").lower()
    if rid and not UUID.fullmatch(rid):
        raise PingError(BAD_RID)
    return rid or None


def _confessed(found: dict[str, Any], said: Said) -> dict[str, Any]:
    """Return how the run failed by its JSON body, where the address says nothing.

    What may have failed is never taken for a success.
    """
    if said.signal or not _text(said).startswith("{"):
        return {}
    code = found.pop("exit_code", None)
    status = _object(_text(said)).get("status")
    _, outcome = STATUSES.get(str(status).lower(), (Kind.LOG, Outcome.OK))
    return {
        **({"status": status} if outcome in FAILURES else {}),
        **({"exit_code": code} if code else {}),
    }


def _numbers(said: Said) -> dict[str, Any]:
    """Return the numbers in the query and in the body, which counts for more."""
    asked = ((name, text) for name, text in said.query if name not in NO_METRICS)
    return {**numbers(asked), **_body(said)}


def _body(said: Said) -> dict[str, Any]:
    text = _text(said)
    if text.startswith("{"):
        return _json(text)
    # Curl calls everything a form. One has no spaces, and what a job says has.
    if said.form and not re.search(r"\s", text):
        return numbers(parse_qsl(text, keep_blank_values=True))
    return {}


def _text(said: Said) -> str:
    return said.text.strip("\ufeff \t\r\n")


def _object(text: str) -> dict[str, Any]:
    try:
        body = read_json(text.encode())
    except PingError:
        # Clients call any text JSON: it is the message and no more.
        return {}
    return body if isinstance(body, dict) else {}


def _json(text: str) -> dict[str, Any]:
    body = _object(text)
    given = body.get("metrics")
    return {
        **{
            name: value
            for name, value in body.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        },
        **(given if isinstance(given, dict) else {}),
    }
