"""CronJobs of Kubernetes, from manifests or the output of kubectl."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.importers.cronjobs import SETTINGS, CronJob, convert
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    InputFile,
    Source,
    Unmapped,
)
from afterrun_exporter.importers.names import job_name, unique_names
from afterrun_exporter.importers.yaml_files import YamlDocument, documents
from afterrun_exporter.validation_messages import Path

_CRON_JOB = re.compile(r"\bCronJob(?:List)?\b")
_APIS: Final = re.compile(r"batch/v\w+")
#: A name, as Kubernetes allows it.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_RENDER: Final = (
    "is a template: render it first, as in helm template RELEASE CHART | afterrun "
    "import kubernetes -"
)
_VARIABLE: Final = "contains a variable: substitute it first, for example by envsubst"
_BUILD: Final = (
    "render it first: kubectl kustomize DIRECTORY | afterrun import kubernetes -"
)
_PROCESS: Final = (
    "a template of OpenShift: process it first: oc process -f FILE | afterrun import "
    "kubernetes -"
)
#: Keys of a patch that change the schedule of a job.
_PATCHED = re.compile(r"/spec/(?:schedule|suspend|timeZone|startingDead|jobTemplate)")


def read(files: Sequence[InputFile]) -> Imported:
    """Return the jobs of all CronJobs in *files*."""
    reader = _Reader()
    for file in files:
        for one in documents(file):
            reader.add(one)
    return reader.imported(files)


@dataclass(slots=True)
class _Reader:
    cron_jobs: list[CronJob] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)
    #: Kinds of other resources.
    others: set[str] = field(default_factory=set)

    def add(self, one: YamlDocument) -> None:
        if not one.is_readable:
            self._unreadable(one)
            return
        before = len(self.cron_jobs)
        self._resource(one, (), one.data, "")
        if added := self.cron_jobs[before:]:
            one.locate([path for job in added for path in _paths(job)])
            self.unmapped += one.reports()

    def imported(self, files: Sequence[InputFile]) -> Imported:
        jobs = list(self._jobs())
        if not self.cron_jobs and not self.unmapped:
            kinds = ", ".join(sorted(self.others)) or "nothing that Kubernetes knows"
            name = files[0].name if files else "stdin"
            reason = f"there is no CronJob in the input; it has {kinds}"
            self.unmapped.append(Unmapped(Source(name), "CronJob", reason))
        return Imported(tuple(jobs), unmapped=tuple(sorted(set(self.unmapped))))

    def _unreadable(self, one: YamlDocument) -> None:
        if not _CRON_JOB.search(one.text) and "kind" in one.text:
            self.others.add("an unreadable document without a CronJob")
        elif template := one.template():
            self.unmapped.append(Unmapped(*template, _RENDER))
        else:
            self.unmapped += one.reports()

    def _resource(self, one: YamlDocument, path: Path, data: object, kind: str) -> None:
        """Add the CronJobs in *data*; *kind* is that of its list, if it has none."""
        if isinstance(data, list):
            self._list(one, path, data)
            return
        if not isinstance(data, dict):
            return
        kind = str(data.get("kind") or kind)
        items = data.get("items")
        if kind == "CronJob":
            self._cron_job(one, path, data)
        elif kind.endswith("List") and isinstance(items, list):
            self._whole(one, path, data)
            for number, item in enumerate(items):
                inner = (*path, "items", number)
                self._resource(one, inner, item, kind.removesuffix("List"))
        elif kind in {"Kustomization", "Component"} or one.file.endswith(
            ("kustomization.yaml", "kustomization.yml")
        ):
            self._report(one, path, kind or "Kustomization", _BUILD)
        elif kind == "Template" and _CRON_JOB.search(str(data.get("objects"))):
            self._report(one, path, kind, _PROCESS)
        elif kind:
            self._other(one, path, data, kind)

    def _list(self, one: YamlDocument, path: Path, data: list[Any]) -> None:
        for number, item in enumerate(data):
            inner = (*path, number)
            is_patch = isinstance(item, dict) and "op" in item
            if not is_patch:
                self._resource(one, inner, item, "")
            elif _PATCHED.search(str(item.get("path"))):
                what = f"patch of {item['path']}"
                self._report(one, inner, what, f"a patch of kustomize: {_BUILD}")

    def _whole(self, one: YamlDocument, path: Path, data: Mapping[str, Any]) -> None:
        """Report a list that is only the first page."""
        metadata = data.get("metadata")
        if isinstance(metadata, dict) and metadata.get("continue"):
            reason = (
                "the list is one page of several: read all of them, as kubectl does"
            )
            self._report(one, (*path, "metadata", "continue"), "continue", reason)

    def _other(
        self, one: YamlDocument, path: Path, data: Mapping[str, Any], kind: str
    ) -> None:
        self.others.add(kind)
        spec = data.get("spec")
        keys = ("schedule", "schedules")
        if isinstance(spec, dict) and isinstance(
            next((spec[key] for key in keys if key in spec), None), str | list
        ):
            reason = (
                "has a schedule, but is no CronJob of batch/v1: add the job by hand"
            )
            name = _mapping(data, "metadata").get("name", "")
            self._report(one, path, f"{kind} {name}".strip(), reason)

    def _cron_job(self, one: YamlDocument, path: Path, data: Mapping[str, Any]) -> None:
        version = data.get("apiVersion", "batch/v1")
        metadata = _mapping(data, "metadata")
        name = metadata.get("name")
        what = f"CronJob {name}" if isinstance(name, str) else "CronJob"
        if not _APIS.fullmatch(str(version)):
            reason = f"is of {version}, not of batch/v1: add the job by hand"
        elif "$patch" in data or "$patch" in _mapping(data, "spec"):
            reason = f"a patch of kustomize: {_BUILD}"
        elif isinstance(name, str) and "{{" in name:
            reason = _RENDER
        elif isinstance(name, str) and "$" in name:
            reason = _VARIABLE
        elif not isinstance(name, str) or not _NAME.fullmatch(name):
            reason = "has no valid metadata.name: give it one of letters, digits and -"
        elif not isinstance(data.get("spec"), dict) or "schedule" not in data["spec"]:
            reason = f"has no spec.schedule; if it is a patch of kustomize, {_BUILD}"
        else:
            namespace = metadata.get("namespace")
            namespace = namespace if isinstance(namespace, str) else ""
            self.cron_jobs.append(CronJob(one, path, data, name, namespace))
            return
        self._report(one, path, what, reason)

    def _report(self, one: YamlDocument, path: Path, text: str, reason: str) -> None:
        one.locate([path])
        self.unmapped.append(Unmapped(one.source(path), text, reason))

    def _jobs(self) -> Iterator[ImportedJob]:
        """Yield the jobs, each CronJob once."""
        first: dict[tuple[str, str], CronJob] = {}
        for one in self.cron_jobs:
            key = (one.namespace, one.name)
            if first.setdefault(key, one) is not one:
                reason = f"is already in {first[key].source()}; that one is imported"
                self.unmapped.append(Unmapped(one.source(), one.title, reason))
        namespaces: defaultdict[str, set[str]] = defaultdict(set)
        for namespace, name in first:
            namespaces[name].add(namespace)
        names = unique_names(
            [
                job_name(f"{one.namespace}-{one.name}".strip("-"))
                if len(namespaces[one.name]) > 1
                else job_name(one.name)
                for one in first.values()
            ]
        )
        for name, one in zip(names, first.values(), strict=True):
            job, unmapped = convert(one, name)
            self.unmapped += unmapped
            yield job


def _paths(job: CronJob) -> Iterator[Path]:
    """Yield the paths of values whose lines are needed."""
    yield job.path
    for key in SETTINGS:
        yield (*job.path, *key)


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}
