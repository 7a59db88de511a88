"""Configured jobs, and the policy for unknown ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.projects import Project

#: The maximum number of names to search for a suggestion, which is slow.
MAX_SUGGESTIONS: Final = 500


def plain_job(name: str, client_settings: str = "") -> Job:
    """Return the job that a ping registers without a configuration.

    Client settings cannot be applied without a configuration.
    """
    if client_settings:
        raise ValueError("client settings of a job need a configuration file")
    return Job(name=name, configured=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConfig:
    """A loaded configuration, as the service uses it."""

    jobs: Mapping[str, Job] = field(default_factory=dict)
    #: Equal for files with the same content, regardless of names, order and layout.
    digest: str = field(default="none", compare=False)
    #: The commit that it is in, with "-dirty" if it differs from it; "" if unknown.
    revision: str = ""
    #: Creates the job for the first ping of an unknown name, from the settings that a
    #: client sent for it: keys of afterrun.yml as a JSON object, or "". Raises
    #: ValueError for unusable settings. None if unknown jobs are rejected.
    unknown: Callable[[str, str], Job] | None = plain_job
    #: The projects that have keys.
    projects: tuple[Project, ...] = ()
    #: The number of jobs from which on unknown ones are rejected.
    max_jobs: int = 100_000
    settings: Settings = field(default_factory=Settings)
    #: Seconds after a start in which nothing due during the downtime is judged.
    settle: float = 120.0
    #: Finished runs are deleted after `keep_for`, and beyond `keep_runs`.
    keep_for: float = 30 * 86400.0
    keep_runs: int = 1000
    #: Resolved alerts and figures of days are deleted after this time.
    keep_reports: float = 90 * 86400.0
    #: The largest accepted body, in bytes.
    body_bytes: int = 2**20
    #: The maximum size of pushes to expose, in bytes.
    pushed_bytes: int = 2**24
    #: Metric families of jobs that are not exposed.
    disabled_families: frozenset[str] = frozenset()

    def nameless(self, name: str, client_settings: str = "") -> Job:
        """Return the job *name*, which is in no file, even if unknown jobs are rejected.

        Unusable *client_settings* are ignored.
        """
        if self.unknown is not None:
            with suppress(ValueError):
                return self.unknown(name, client_settings)
            return self.unknown(name, "")
        # Each job has all declared labels.
        some = next(iter(self.jobs.values()), plain_job(name))
        labels = tuple((key, "") for key, _ in some.labels)
        return replace(plain_job(name), labels=labels)

    def refusal(self, name: str) -> str:
        """Return the reason why a ping cannot register the job *name*."""
        if self.unknown is not None:
            return (
                f"unknown job {name!r}: the limit of {plural(self.max_jobs, 'job')} is "
                "reached; raise limits.jobs to let pings register more"
            )
        return self.unknown_job(name)

    def unknown_job(self, name: str) -> str:
        """Return the message that there is no job *name*, with a suggestion."""
        few = self.jobs if len(self.jobs) <= MAX_SUGGESTIONS else ()
        return f"unknown job {name!r}{did_you_mean(name, few)}"
