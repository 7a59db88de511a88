"""Checks of Healthchecks as jobs: answers of its management API, version 1 to 3.

https://healthchecks.io/docs/api/ documents the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.config.values import LONGEST
from afterrun_exporter.core.metric_names import quoted
from afterrun_exporter.core.model import UUID
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers.json_lines import json_document, object_lines
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    InputFile,
    Source,
    Unmapped,
)
from afterrun_exporter.importers.names import job_name, unique_names
from afterrun_exporter.importers.shared_settings import SharedSettings
from afterrun_exporter.importers.usable_settings import usable
from afterrun_exporter.validation_messages import quote

#: Fields with the state of a check, and fields that follow from others.
_STATE: Final = frozenset(
    {
        *("n_pings", "started", "last_ping", "next_ping", "last_duration"),
        *("update_url", "pause_url", "resume_url", "badge_url", "unique_key"),
    }
)
#: Fields that make up the schedule, the identity and the filters of a check.
_READ: Final = frozenset(
    {
        *("name", "slug", "tags", "desc", "timeout", "grace", "schedule", "tz"),
        *("uuid", "ping_url", "status", "manual_resume", "methods", "channels"),
        *("start_kw", "success_kw", "failure_kw", "subject", "subject_fail"),
        *("filter_subject", "filter_body", "filter_http_body", "filter_default_fail"),
    }
)
#: The number of fields of a cron expression; Healthchecks reads any other schedule as
#: calendar expressions of systemd.
_CRON_FIELDS: Final = 5

_CHANNELS: Final = "integrations are not imported: add receivers and routes to the section alertmanager"
_MANUAL_RESUME: Final = "the next report resumes a paused job"
_METHODS: Final = "requests with any method are reports"
_EMAIL: Final = (
    "AfterRun receives no e-mail: report over HTTP, and add a rule on message if its "
    "text decides"
)
_START: Final = "a start is reported with the URL of a ping, not with its body"
_SUCCESS: Final = (
    'a rule requires one text, such as message contains "done"; Healthchecks ignores a '
    "ping without a keyword, or counts it as a failure"
)
_READ_ONLY: Final = (
    "the answer to a read-only API key has no ping URLs, so that the old ones do not "
    "reach the jobs: use a read-write key"
)


@dataclass(slots=True)
class _Check:
    """A check and the job that it becomes."""

    source: Source
    fields: Mapping[str, Any]
    title: str
    uuid: str
    settings: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)

    def refuse(self, key: str, reason: str) -> None:
        text = f"{self.title}: {key}: {quote(self.fields.get(key))}"
        self.unmapped.append(Unmapped(self.source, text, reason))


def read(files: Sequence[InputFile]) -> Imported:
    """Return the checks in *files*.

    Each is an answer with ``checks``, a list of them, or one check, as JSON. Raises
    ConfigError if it is none of them.
    """
    titles: dict[str, str] = {}
    checks = [check for file in files for check in _checks(file, titles)]
    names = unique_names([_name(check) for check in checks])
    shared = SharedSettings()
    jobs: list[ImportedJob] = []
    unmapped: list[Unmapped] = []
    for check, name in zip(checks, names, strict=True):
        _read(check, name, shared)
        settings, invalid = usable(check.settings, check.source, check.title)
        unmapped += [*check.unmapped, *invalid]
        jobs.append(ImportedJob(name, settings, check.source, tuple(check.comments)))
    return Imported(tuple(jobs), unmapped=(*unmapped, *shared.unmapped()))


def _checks(file: InputFile, titles: dict[str, str]) -> Iterator[_Check]:
    """Yield the checks in *file*; *titles* has those of checks by UUID."""
    document = json_document(file, "save the answer of GET /api/v3/checks/")
    items, depth = _items(document, file.name)
    lines = object_lines(file.text, depth)
    if len(lines) != len(items) or "\n" not in file.text.strip():
        lines = [0] * len(items)
    for item, line in zip(items, lines, strict=True):
        title = str(item.get("name") or item.get("slug") or "check without a name")
        check = _Check(Source(file.name, line), item, _printable(title), _uuid_of(item))
        if check.uuid in titles:
            check.refuse("uuid", f"it is the UUID of {titles[check.uuid]!r}, too")
            check.uuid = ""
        elif check.uuid:
            titles[check.uuid] = check.title
        yield check


def _items(document: object, file: str) -> tuple[list[Mapping[str, Any]], int]:
    """Return the checks in *document*, and their depth in it."""
    depth, items = 1, document
    if isinstance(document, Mapping):
        depth, items = (
            (3, document["checks"]) if "checks" in document else (1, [document])
        )
    elif isinstance(document, list):
        depth = 2
    if not isinstance(items, list) or not all(map(_is_check, items)):
        message = (
            "has no checks of Healthchecks: save the answer of GET /api/v3/checks/, "
            'which is {"checks": [...]}'
        )
        raise ConfigError(file, [Problem(0, "", message)])
    return [item for item in items if isinstance(item, Mapping)], depth


def _is_check(item: object) -> bool:
    return isinstance(item, Mapping) and ("name" in item or "grace" in item)


def _uuid_of(item: Mapping[str, Any]) -> str:
    """Return the UUID of a check; "" if a read-only key has hidden it."""
    for key in ("uuid", "ping_url", "update_url"):
        if isinstance(value := item.get(key), str):
            last = value.rstrip("/").rpartition("/")[2].lower()
            if UUID.fullmatch(last):
                return last
    return ""


def _name(check: _Check) -> str:
    """Return the name of the job: the slug, with which clients may report."""
    for key in ("slug", "name"):
        text = check.fields.get(key)
        if isinstance(text, str) and (name := job_name(text, "")):
            return name
    return f"check-{check.uuid[:8]}" if check.uuid else "check"


def _read(check: _Check, name: str, shared: SharedSettings) -> None:
    """Add the settings, the comments and the reports of *check*."""
    fields, settings = check.fields, check.settings
    _check_types(check)
    if (title := _text(fields, "name")) and title != name:
        settings["display_name"] = title
    if desc := _text(fields, "desc"):
        settings["description"] = desc
    _read_schedule(check)
    if (grace := _seconds(fields, "grace")) is not None:
        # It is also the time that Healthchecks allows from a start to its end.
        settings["grace"] = settings["max_runtime"] = format_duration(grace)
    if tags := list(dict.fromkeys(_text(fields, "tags").split())):
        settings["tags"] = tags
    _read_pause(check)
    _read_filters(check)
    _read_connections(check, shared)
    for key in sorted(fields.keys() - _READ - _STATE):
        check.refuse(_printable(key), "unknown field of a check")


def _read_pause(check: _Check) -> None:
    fields, settings = check.fields, check.settings
    if fields.get("status") == "paused":
        settings["enabled"] = False
        if not fields.get("manual_resume"):
            check.comments.append(
                "is paused; Healthchecks resumes it with the next ping, AfterRun "
                "without the line with enabled"
            )
    elif fields.get("manual_resume"):
        check.refuse("manual_resume", _MANUAL_RESUME)
    elif fields.get("n_pings") == 0 and fields.get("status") == "new":
        check.comments.append("was never pinged; AfterRun expects its first run")


def _read_connections(check: _Check, shared: SharedSettings) -> None:
    """Add the ping URL, and report methods and integrations."""
    fields, settings = check.fields, check.settings
    if check.uuid:
        settings["ping_uuid"] = check.uuid
    elif "unique_key" in fields:
        shared.add(check.source, check.title, "ping_url", _READ_ONLY)
    if fields.get("methods"):
        check.refuse("methods", _METHODS)
    for channel in filter(None, map(str.strip, _text(fields, "channels").split(","))):
        shared.add(check.source, check.title, f"channels: {quote(channel)}", _CHANNELS)


_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    **dict.fromkeys(
        ("name", "slug", "tags", "desc", "schedule", "tz", "channels", "methods"),
        ((str,), "text"),
    ),
    **dict.fromkeys(
        ("start_kw", "success_kw", "failure_kw", "subject", "subject_fail"),
        ((str,), "text"),
    ),
    **dict.fromkeys(("timeout", "grace"), ((int, float), "a number of seconds")),
}


def _check_types(check: _Check) -> None:
    for key, (types, expected) in _TYPES.items():
        value = check.fields.get(key)
        wrong = not isinstance(value, types) or isinstance(value, bool)
        if value is not None and wrong:
            check.refuse(key, f"expected {expected}")
    for key in ("timeout", "grace"):
        value = check.fields.get(key)
        if _is_number(value) and _seconds(check.fields, key) is None:
            check.refuse(key, "expected a number of seconds above 0, up to ten years")


def _read_schedule(check: _Check) -> None:
    schedule = _text(check.fields, "schedule").strip()
    if not schedule:
        if (timeout := _seconds(check.fields, "timeout")) is not None:
            check.settings["every"] = format_duration(timeout)
        return
    lines = [line.strip() for line in schedule.splitlines() if line.strip()]
    if len(lines) == 1 and len(schedule.split()) == _CRON_FIELDS:
        check.settings["schedule"] = " ".join(schedule.split())
    else:
        check.settings["oncalendar"] = lines if len(lines) > 1 else lines[0]
    check.settings["timezone"] = _text(check.fields, "tz") or "UTC"


def _read_filters(check: _Check) -> None:
    """Add rules for the keywords in bodies of pings; report those for e-mail."""
    fields = check.fields
    for key in ("filter_subject", "filter_body"):
        if fields.get(key):
            check.refuse(key, _EMAIL)
    for key in ("subject", "subject_fail"):
        # Old versions have only these.
        if fields.get(key) and "filter_subject" not in fields:
            check.refuse(key, _EMAIL)
    if fields.get("filter_http_body") and (rules := [*_keyword_rules(check)]):
        check.settings["rules"] = rules


def _keyword_rules(check: _Check) -> Iterator[str]:
    """Yield rules for the keywords that decide the outcome of a ping with a body."""
    start, success, failure = (
        _keywords(check.fields, key) for key in ("start_kw", "success_kw", "failure_kw")
    )
    for word in failure:
        yield f"message !contains {quoted(word)}"
    default_fail = bool(check.fields.get("filter_default_fail"))
    if start:
        check.refuse("start_kw", _START)
    if success and default_fail and len(success) == 1 and not start:
        yield f"message contains {quoted(success[0])}"
    elif success:
        check.refuse("success_kw", _SUCCESS)
    elif default_fail:
        check.refuse("filter_default_fail", "a ping without a keyword is a success")
    elif failure:
        check.comments.append(
            "Healthchecks ignores pings without a keyword in their body; AfterRun "
            "counts them as successes"
        )


def _keywords(fields: Mapping[str, Any], key: str) -> list[str]:
    words = (word.strip() for word in _text(fields, key).split(","))
    return list(dict.fromkeys(word for word in words if word))


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(fields: Mapping[str, Any], key: str) -> float | None:
    value = fields.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 < value <= LONGEST else None


def _printable(text: str) -> str:
    """Return *text* on one line, for reports."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:100]
