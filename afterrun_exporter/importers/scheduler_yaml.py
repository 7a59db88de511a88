"""Jobs from a worker's scheduler.yaml: ``schedules:`` with jobId, schedule, timezone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.core import crontab
from afterrun_exporter.importers.cron_syntax import of_cron
from afterrun_exporter.importers.model import ImportedJob
from afterrun_exporter.importers.names import job_name, unique_names
from afterrun_exporter.importers.yaml_sections import Section

_KEYS: Final = (
    "jobId", "schedule", "enabled", "timezone", "description", "input", "queueOptions",
)  # fmt: skip
_QUEUE: Final = ("priority", "maxAttempts", "tags", "dependencies")
_MAX_ATTEMPTS: Final = 1000
_LONGEST_NOTE: Final = 200


@dataclass(frozen=True, slots=True)
class _Entry:
    """An item of ``schedules:``."""

    section: Section
    job_id: str
    schedule: str | None
    zone: str
    enabled: bool
    description: str
    max_attempts: int | None
    notes: tuple[str, ...]


def jobs(root: Section) -> list[ImportedJob]:
    """Return the jobs of ``schedules:`` in *root*."""
    by_id: dict[str, list[_Entry]] = {}
    for section in root.sections("schedules"):
        if (entry := _entry(section)) is not None:
            by_id.setdefault(entry.job_id, []).append(entry)
    names = unique_names([job_name(one) for one in by_id])
    return [
        _job(name, entries) for name, entries in zip(names, by_id.values(), strict=True)
    ]


def _entry(section: Section) -> _Entry | None:
    job_id = section.text("jobId")
    notes: list[str] = []
    schedule = _schedule(section, notes)
    entry = _Entry(
        section=section,
        job_id=job_id or "",
        schedule=schedule,
        zone=_zone(section),
        enabled=_enabled(section),
        description=_description(section),
        max_attempts=_queue_options(section),
        notes=(*notes, *_input(section)),
    )
    section.close(_KEYS)
    if not job_id:
        section.report_whole("has no jobId: give it the id of a job")
        return None
    return entry


def _schedule(section: Section, notes: list[str]) -> str | None:
    text = section.text("schedule")
    if text is None:
        if not section.has("schedule"):
            section.report("schedule", "is missing; the job is imported without one")
        return None
    try:
        timing = of_cron(text, "node-cron")
    except ValueError as error:
        section.report("schedule", str(error))
        return None
    notes += timing.notes
    return str(timing.settings["schedule"])


def _zone(section: Section) -> str:
    zone = section.text("timezone")
    if zone is None:
        return "UTC"
    try:
        crontab.check_zone(zone)
    except ValueError as error:
        section.report("timezone", f"{error}; UTC is used here")
        return "UTC"
    return zone


def _enabled(section: Section) -> bool:
    enabled = section.boolean("enabled")
    if enabled is None and not section.has("enabled"):
        section.report("enabled", "is missing; the job is imported as enabled")
    return enabled is not False


def _description(section: Section) -> str:
    text = (section.text("description") or "").strip()
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _queue_options(section: Section) -> int | None:
    """Return the attempts of ``queueOptions:``; report its other keys."""
    if not section.has("queueOptions"):
        return None
    options = section.section("queueOptions")
    attempts = options.count("maxAttempts")
    if attempts is not None and attempts > _MAX_ATTEMPTS:
        options.report("maxAttempts", f"at most {_MAX_ATTEMPTS} attempts")
        attempts = None
    for key in ("priority", "tags", "dependencies"):
        if options.has(key):
            options.report(key, "is for the queue, and has no equivalent")
    options.close(_QUEUE)
    return attempts


def _input(section: Section) -> Iterator[str]:
    """Yield a note on the input; its values may be secrets."""
    data = section.value("input")
    if isinstance(data, dict) and data:
        keys = ", ".join(sorted(data))
        yield f"its input is not part of monitoring: {keys}"[:_LONGEST_NOTE]
    elif data:
        yield "its input is not part of monitoring"


def _job(name: str, entries: Sequence[_Entry]) -> ImportedJob:
    active = [one for one in entries if one.enabled] or list(entries[:1])
    first = active[0]
    settings: dict[str, object] = {}
    notes = [] if name == first.job_id else [f"jobId {first.job_id}"]
    if description := next((one.description for one in active if one.description), ""):
        settings["description"] = description
    if schedules := _schedules(active):
        settings["schedule"] = schedules if len(schedules) > 1 else schedules[0]
        settings["timezone"] = first.zone
    else:
        notes.append("without a schedule: that of the file is not valid here")
    for one in active:
        notes += [note for note in one.notes if note not in notes]
    attempts = [one.max_attempts for one in active if one.max_attempts]
    if attempts:
        settings["max_attempts"] = max(attempts)
    if not first.enabled:
        settings["enabled"] = False
    notes.append(
        "to report its runs: post the events of the worker to /events (docs/clients.md)"
    )
    for one in entries:
        if one not in active:
            line = one.section.source.line
            notes.append(f"also scheduled at {one.schedule!r}, disabled on line {line}")
    return ImportedJob(name, settings, first.section.source, tuple(notes))


def _schedules(entries: Sequence[_Entry]) -> list[str]:
    """Return the schedules of a job with *entries*; report those in other zones."""
    schedules: dict[str, None] = {}
    for one in entries:
        if one.schedule is None:
            continue
        if one.zone != entries[0].zone:
            reason = f"a job has one time zone, and this one has {entries[0].zone}"
            one.section.report("timezone", f"{reason}: add a job for this schedule")
        else:
            schedules[one.schedule] = None
    return list(schedules)
