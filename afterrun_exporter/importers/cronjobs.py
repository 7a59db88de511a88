"""Conversion of one CronJob of Kubernetes to a job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.config.values import LONGEST
from afterrun_exporter.core import crontab
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.importers.cron_syntax import Timing, of_kubernetes
from afterrun_exporter.importers.model import ImportedJob, Source, Unmapped
from afterrun_exporter.importers.yaml_files import TEMPLATE, YamlDocument
from afterrun_exporter.validation_messages import Path, quote

_JOB: Final = ("spec", "jobTemplate", "spec")
_POD: Final = (*_JOB, "template", "spec")
_SCHEDULE: Final = ("spec", "schedule")
_ZONE: Final = ("spec", "timeZone")
_SUSPEND: Final = ("spec", "suspend")
_STARTING: Final = ("spec", "startingDeadlineSeconds")
_POLICY: Final = ("spec", "concurrencyPolicy")
_ACTIVE: Final = (*_JOB, "activeDeadlineSeconds")
_POD_ACTIVE: Final = (*_POD, "activeDeadlineSeconds")
_BACKOFF: Final = (*_JOB, "backoffLimit")
_LABELS: Final = ("metadata", "labels")
_ANNOTATIONS: Final = ("metadata", "annotations")
#: Settings that several pods of a run, or their failures, depend on.
_INEXPRESSIBLE: Final = {
    (*_JOB, "parallelism"): "several pods run at once, and each would report a run: "
    "report from only one of them",
    (*_JOB, "completions"): "a run has several pods, and each would report a run: "
    "report from only one of them",
    (*_JOB, "podFailurePolicy"): "failures may end the run before its last attempt; "
    "AfterRun then waits for the next attempt until the deadline",
    (*_JOB, "suspend"): "the runs are created suspended, and start only by hand",
}
#: The paths of all settings with a meaning here.
SETTINGS: Final[tuple[tuple[str, ...], ...]] = (
    _SCHEDULE, _ZONE, _SUSPEND, _STARTING, _POLICY, _ACTIVE, _POD_ACTIVE, _BACKOFF,
    _LABELS, _ANNOTATIONS, *_INEXPRESSIBLE,
)  # fmt: skip

#: Label keys of jobs, and those of Kubernetes that they have the value of, also with
#: a prefix of their own such as ``example.com/team``.
_KEYS: Final = {
    "team": ("team",),
    "owner": ("owner",),
    "environment": ("environment", "env"),
    "component": ("app.kubernetes.io/component", "component"),
    "app": ("app.kubernetes.io/name", "app", "application", "k8s-app"),
}
#: Not ``namespace``, which Prometheus sets itself on Kubernetes.
_NAMESPACE: Final = "kubernetes_namespace"
_PROJECT: Final = "app.kubernetes.io/part-of"
_RUNBOOK: Final = frozenset({"runbook", "runbook-url", "runbook_url", "runbookurl"})
_URL = re.compile(r"https?://[^\s/]\S*")
_TRUE: Final = frozenset({"true", "yes", "on", "y"})
_FALSE: Final = frozenset({"false", "no", "off", "n"})
_MAX_ATTEMPTS: Final = 1000
_REPORTS = re.compile(r"\bafterrun\b|/ping/")


@dataclass(frozen=True, slots=True)
class CronJob:
    """A CronJob in a document."""

    document: YamlDocument
    #: Its path in the document.
    path: Path
    data: Mapping[str, Any]
    name: str
    namespace: str

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"CronJob {self.namespace}/{self.name}".replace(" /", " ")

    def source(self, path: Path = ()) -> Source:
        """Return the place of the value at *path* in it."""
        return self.document.source((*self.path, *path))

    def get(self, path: Path) -> Any:
        """Return the value at *path* in it, or None."""
        value: Any = self.data
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def convert(one: CronJob, name: str) -> tuple[ImportedJob, list[Unmapped]]:
    """Return *one* as the job *name*, and what of it is not mapped."""
    conversion = _Conversion(one, name)
    settings = dict(conversion.settings())
    job = ImportedJob(name, settings, one.source(), tuple(conversion.comments))
    return job, conversion.unmapped


@dataclass(slots=True)
class _Conversion:
    one: CronJob
    name: str
    comments: list[str] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)

    def settings(self) -> Iterator[tuple[str, object]]:
        self.comments.append(self.one.title)
        annotations = self._texts(_ANNOTATIONS)
        yield from self._description(annotations)
        yield from self._timing()
        if (seconds := self._seconds(_STARTING)) is not None:
            yield "grace", format_duration(seconds)
        runtime = self._max_runtime()
        if runtime is not None:
            yield "max_runtime", format_duration(runtime)
            if self.one.get(_STARTING) is not None:
                self._note(
                    "a run that starts within grace (startingDeadlineSeconds) has its "
                    "whole max_runtime, if its start is reported"
                )
        elif self.one.get(_STARTING) is not None:
            self._note(
                "grace is startingDeadlineSeconds: a run must end within it, unless "
                "max_runtime is set and its start is reported"
            )
        yield from self._attempts()
        yield from self._labels(self._texts(_LABELS))
        yield from self._runbook(annotations)
        if self._suspended():
            yield "enabled", False
        yield from self._concurrency(has_limit=runtime is not None)
        self._inexpressible()
        self._note_reporting()

    def _description(self, annotations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for key in sorted(annotations, key=len):
            if key.rpartition("/")[2] == "description" and annotations[key].strip():
                yield "description", annotations[key].strip()
                return

    def _timing(self) -> Iterator[tuple[str, object]]:
        text = self.one.get(_SCHEDULE)
        zone = self.one.get(_ZONE)
        if not isinstance(text, str):
            self._report(_SCHEDULE, "is not text: put it in quotes")
            self._note("without a schedule: that of the CronJob could not be read")
            return
        try:
            timing = _timing(text, zone)
        except ValueError as error:
            self._report(_SCHEDULE, str(error))
            self._note("without a schedule: that of the CronJob is not valid here")
            return
        for note in timing.notes:
            self._note(note)
        settings = dict(timing.settings)
        if "timezone" in settings:
            self._note(
                "its time zone is within the schedule, which Kubernetes refuses for new "
                "CronJobs since 1.29: use timeZone there"
            )
        elif "schedule" in settings:
            settings["timezone"] = self._zone(zone)
        yield from settings.items()

    def _zone(self, zone: object) -> str:
        if zone is None:
            self._note(
                "without timeZone: the zone of kube-controller-manager, which is UTC "
                "unless it was changed"
            )
            return "UTC"
        try:
            crontab.check_zone(str(zone))
        except ValueError as error:
            self._report(_ZONE, f"{error}; UTC is used here")
            return "UTC"
        return str(zone)

    def _max_runtime(self) -> float | None:
        if (seconds := self._seconds(_ACTIVE)) is not None:
            return seconds
        seconds = self._seconds(_POD_ACTIVE)
        if seconds is not None:
            self._note("max_runtime is activeDeadlineSeconds of the pod: of an attempt")
        return seconds

    def _attempts(self) -> Iterator[tuple[str, int]]:
        retries = self._number(_BACKOFF, 0)
        if retries is None:
            return
        if retries >= _MAX_ATTEMPTS:
            self._report(_BACKOFF, f"at most {_MAX_ATTEMPTS} attempts")
            return
        yield "max_attempts", retries + 1

    def _labels(self, labels: dict[str, str]) -> Iterator[tuple[str, object]]:
        result: dict[str, str] = {}
        for key, names in _KEYS.items():
            for name in names:
                exact = [one for one in labels if one == name]
                prefixed = sorted(
                    one
                    for one in labels
                    if "kubernetes.io/" not in one and one.rpartition("/")[2] == name
                )
                for one in dict.fromkeys((*exact, *prefixed)):
                    value = labels.pop(one)
                    result.setdefault(key, value)
        project = labels.pop(_PROJECT, "")
        if self.one.namespace:
            result[_NAMESPACE] = self.one.namespace
        if result:
            yield "labels", result
        if project:
            yield "project", project
        if labels:
            self._note(f"labels that are not imported: {', '.join(sorted(labels))}")

    def _runbook(self, annotations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for key in sorted(annotations):
            if key.rpartition("/")[2].lower() in _RUNBOOK:
                url = annotations[key].strip()
                if _URL.fullmatch(url):
                    yield "runbook_url", url
                else:
                    self._report((*_ANNOTATIONS, key), f"{quote(url)} is not a URL")
                return

    def _suspended(self) -> bool:
        value = self.one.get(_SUSPEND)
        if value is None or isinstance(value, bool):
            return bool(value)
        # YAML as Kubernetes reads it has further words.
        if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        self._report(_SUSPEND, f"expected true or false, not {quote(value)}")
        return False

    def _concurrency(self, *, has_limit: bool) -> Iterator[tuple[str, object]]:
        policy = self.one.get(_POLICY)
        if policy == "Forbid":
            yield "concurrency", {"max": 1}
            self._note(
                "concurrencyPolicy Forbid: a slot is skipped while a run is active, and "
                "is missed unless that run ends by the deadline"
            )
            if not has_limit:
                self._note(
                    "without activeDeadlineSeconds: set max_runtime, so that a run that "
                    "died without a report does not overlap with later ones"
                )
        elif policy == "Replace":
            self._note(
                "concurrencyPolicy Replace: a run is killed when the next one starts, "
                "which afterrun exec reports as failed"
            )
        elif policy is not None and policy != "Allow":
            self._report(_POLICY, "use Allow, Forbid or Replace")

    def _inexpressible(self) -> None:
        for path, reason in _INEXPRESSIBLE.items():
            value = self.one.get(path)
            is_default = isinstance(value, int) and value == (path[-1] != "suspend")
            if value is not None and not is_default:
                self._report(path, reason)

    def _note_reporting(self) -> None:
        containers = self.one.get((*_POD, "containers"))
        first = containers[0] if isinstance(containers, list) and containers else {}
        first = first if isinstance(first, dict) else {}
        words = [first.get("command"), first.get("args"), first.get("env")]
        if _REPORTS.search(str(words)):
            return
        where = f" in container {first['name']}" if "name" in first else ""
        what = "its command" if first.get("command") else "the entrypoint of its image"
        self._note(f"to report its runs: set AFTERRUN_URL{where}, and run {what} by")
        self._note(
            f"afterrun exec {self.name} -- COMMAND   (or end it with: "
            f'curl "$AFTERRUN_URL/ping/{self.name}" -d exit_code=$?)'
        )

    def _texts(self, path: Path) -> dict[str, str]:
        """Return the texts of the mapping at *path*; report other values."""
        value = self.one.get(path)
        if not isinstance(value, dict):
            return {}
        texts: dict[str, str] = {}
        for key, text in value.items():
            if not isinstance(text, str):
                reason = f"is not text, which Kubernetes refuses: {quote(text)}"
                self._report((*path, key), reason)
            elif TEMPLATE.search(text):
                self._report((*path, key), "is a template: render it first")
            elif path is _LABELS and not text.isprintable():
                self._report((*path, key), "has characters that cannot be printed")
            else:
                texts[key] = "".join(
                    c if c.isprintable() or c == "\n" else " " for c in text
                )
        return texts

    def _seconds(self, path: Path) -> float | None:
        """Return the positive number of seconds at *path*; report anything else."""
        seconds = self._number(path, 1)
        if seconds is not None and seconds > LONGEST:
            self._report(path, "is too long: at most ten years")
            return None
        return seconds

    def _number(self, path: Path, least: int) -> int | None:
        value = self.one.get(path)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self._report(path, f"expected a number from {least} on")
            return None
        return value

    def _note(self, text: str) -> None:
        self.comments.append(text)

    def _report(self, path: Path, reason: str) -> None:
        value = self.one.get(path)
        quoted = f": {quote(value)}" if isinstance(value, str | int | float) else ""
        text = f"{self.one.title}: {'.'.join(map(str, path))}{quoted}"
        self.unmapped.append(Unmapped(self.one.source(path), text, reason))


def _timing(text: str, zone: object) -> Timing:
    if TEMPLATE.search(text) or "$" in text:
        raise ValueError("is a template or has a variable: render it first")
    timing = of_kubernetes(text)
    if zone is not None and "timezone" in timing.settings:
        raise ValueError("Kubernetes refuses TZ= in it together with timeZone")
    return timing
