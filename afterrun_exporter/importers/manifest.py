"""Jobs that a manifest.py registers as JobConfig objects; it is never executed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from posixpath import basename, normpath
from typing import Any, Final

from afterrun_exporter.config.values import LONGEST
from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.importers.cron_syntax import of_cron
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    InputFile,
    Source,
    Unmapped,
)
from afterrun_exporter.importers.names import job_name, unique_names
from afterrun_exporter.importers.python_modules import Modules, Registration
from afterrun_exporter.importers.python_syntax import CLASS, PARAMETERS
from afterrun_exporter.importers.python_values import Opaque, why
from afterrun_exporter.validation_messages import quote

_MANIFEST: Final = "manifest.py"
#: The defaults of JobConfig.
_TIMEOUT: Final = 300
_ATTEMPTS: Final = 3
_MAX_ATTEMPTS: Final = 1000


def read(files: Sequence[InputFile]) -> Imported:
    """Return the jobs of the manifests in *files*; the other files are for imports."""
    texts = {normpath(one.name): one.text for one in files}
    jobs: list[ImportedJob] = []
    unmapped: set[Unmapped] = set()
    registrations: list[tuple[Registration, bool]] = []
    for name in _manifests(texts):
        modules = Modules(texts)
        modules.run(name)
        unmapped |= modules.unmapped
        registrations += _registered(modules, unmapped)
    first: dict[str, Source] = {}
    conversions: list[_Conversion] = []
    for registration, enabled in registrations:
        conversion = _Conversion(registration, enabled, unmapped)
        job_id = conversion.job_id()
        if job_id is None:
            continue
        if job_id in first:
            reason = f"is already registered at {first[job_id]}, which is imported"
            unmapped.add(Unmapped(registration.source, f"id {quote(job_id)}", reason))
            continue
        first[job_id] = registration.source
        conversions.append(conversion)
    names = unique_names([job_name(job_id) for job_id in first])
    for name, conversion in zip(names, conversions, strict=True):
        jobs.append(conversion.job(name))
    if not jobs and not unmapped:
        where = Source(files[0].name) if files else Source("stdin")
        reason = f"no {CLASS} is registered in the given files"
        unmapped.add(Unmapped(where, CLASS, reason))
    return Imported(tuple(jobs), unmapped=tuple(sorted(unmapped)))


def _manifests(texts: dict[str, str]) -> list[str]:
    """Return the files to follow: those named manifest.py, or all with jobs in them."""
    manifests = [name for name in texts if basename(name) == _MANIFEST]
    if manifests or len(texts) == 1:
        return manifests or list(texts)
    return [name for name, text in texts.items() if CLASS in text]


def _registered(
    modules: Modules, unmapped: set[Unmapped]
) -> Iterator[tuple[Registration, bool]]:
    """Yield the registered jobs, and True for each that is not disabled afterwards."""
    state: dict[object, str] = {job_id: call for call, job_id in modules.calls}
    for one in modules.registrations:
        call = state.get(_key(one.job.values.get("id")), "")
        if call != "unregister":
            yield one, call != "disable"
        else:
            reason = "is unregistered afterwards, and not imported"
            text = f"id {quote(one.job.values['id'])}"
            unmapped.add(Unmapped(one.source, text, reason))


def _key(value: Any) -> object:
    return value if isinstance(value, str) else None


@dataclass(slots=True)
class _Conversion:
    registration: Registration
    enabled: bool
    unmapped: set[Unmapped]
    comments: list[str] = field(default_factory=list)

    def job_id(self) -> str | None:
        """Return the id, or None if it is not known."""
        value = self._value("id")
        if isinstance(value, str) and value.strip():
            return value
        if "id" not in self._values:
            rest = self.registration.job.rest
            self._report("id", f"is missing{f': {rest}' if rest else ''}")
        elif value is not None:
            self._report("id", f"expected text, not {quote(value)}")
        return None

    def job(self, name: str) -> ImportedJob:
        """Return the job as *name*."""
        if name != self._values["id"]:
            self.comments.append(f"id {self._values['id']}")
        settings = dict(self._settings())
        for key in self._values:
            if key not in PARAMETERS:
                hint = did_you_mean(key, PARAMETERS)
                self._report(key, f"unknown argument of {CLASS}{hint}")
        if rest := self.registration.job.rest:
            text = f"{CLASS}(id={self._values['id']!r})"
            reason = f"may have further arguments, which are not constant: {rest}"
            self.unmapped.add(Unmapped(self.registration.source, text, reason))
        self.comments.append(
            "to report its runs: post the records of the job queue to /runs, or report "
            "from run() with the Python helper (docs/exec.md)"
        )
        return ImportedJob(
            name, settings, self.registration.source, tuple(self.comments)
        )

    @property
    def _values(self) -> dict[str, Any]:
        return self.registration.job.values

    def _settings(self) -> Iterator[tuple[str, object]]:
        if description := self._text("description"):
            yield "description", description
        yield from self._timing()
        timeout = self._seconds("timeout_seconds", _TIMEOUT)
        if timeout is not None:
            yield "max_runtime", format_duration(timeout)
        attempts = self._attempts()
        if attempts is not None:
            yield "max_attempts", attempts
        defaults = [
            key
            for key in ("timeout_seconds", "max_attempts")
            if key not in self._values and not self.registration.job.rest
        ]
        if defaults:
            self.comments.append(f"the default of {CLASS}: {', '.join(defaults)}")
        if project := self._text("project"):
            yield "project", project
        if tags := self._tags():
            yield "tags", tags
        enabled = self._value("enabled")
        if enabled not in {None, True, False}:
            self._report("enabled", f"expected True or False, not {quote(enabled)}")
        if enabled is False or not self.enabled:
            yield "enabled", False

    def _timing(self) -> Iterator[tuple[str, object]]:
        cron = self._text("cron")
        if not cron:
            if "cron" not in self._values:
                self._report("cron", "is missing")
            self.comments.append("without a schedule: its cron is not known")
            return
        try:
            timing = of_cron(cron, "APScheduler")
        except ValueError as error:
            self._report("cron", str(error))
            self.comments.append("without a schedule: its cron is not valid here")
            return
        self.comments += timing.notes
        yield from timing.settings.items()
        yield "timezone", "UTC"

    def _text(self, key: str) -> str:
        value = self._value(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._report(key, f"expected text, not {quote(value)}")
            return ""
        lines = "".join(c if c.isprintable() or c == "\n" else " " for c in value)
        return lines.strip()

    def _seconds(self, key: str, default: int) -> float | None:
        if key not in self._values:
            return None if self.registration.job.rest else default
        value = self._value(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and 0 < value <= LONGEST:
            return float(value)
        if value is not None:
            reason = f"expected seconds, up to ten years, not {quote(value)}"
            self._report(key, reason)
        return None

    def _attempts(self) -> int | None:
        if "max_attempts" not in self._values:
            return None if self.registration.job.rest else _ATTEMPTS
        value = self._value("max_attempts")
        if value is None:
            return None
        if type(value) is not int or not 1 <= value <= _MAX_ATTEMPTS:
            reason = f"expected a number from 1 to {_MAX_ATTEMPTS}, not {quote(value)}"
            self._report("max_attempts", reason)
            return None
        return value

    def _tags(self) -> list[str]:
        value = self._value("tags")
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self._report("tags", f"expected a list, not {quote(value)}")
            return []
        tags = []
        for one in value:
            if isinstance(one, Opaque):
                reason = why(one, self.registration.source.line)
                self._report("tags", f"has a value that is not constant: {reason}")
            elif isinstance(one, str) and one.strip() and one.isprintable():
                tags.append(one)
            else:
                self._report("tags", f"{quote(one)} is not one line of text")
        return list(dict.fromkeys(tags))

    def _value(self, key: str) -> Any:
        """Return the argument *key*, or None; report it if it is not known."""
        value = self._values.get(key)
        if isinstance(value, Opaque):
            line = self.registration.source.line
            self._report(key, f"is not constant: {why(value, line)}")
            return None
        return value

    def _report(self, key: str, reason: str) -> None:
        job_id = self._values.get("id")
        quoted = f"id={job_id!r}, " if isinstance(job_id, str) and key != "id" else ""
        text = f"{CLASS}({quoted}{key})"
        self.unmapped.add(Unmapped(self.registration.source, text, reason))
