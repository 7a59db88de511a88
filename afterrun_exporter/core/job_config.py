"""Which jobs there are, and what is to become of a job nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.did_you_mean import near
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.projects import Project

#: A near miss is looked for among so many names; among more it would take long.
MAX_SUGGESTIONS: Final = 500


def plain_job(name: str, said: str = "") -> Job:
    """Return the job that a ping registers where nothing else is configured.

    Nothing is known here of the words that may be *said* of one.
    """
    if said:
        raise ValueError("only a configuration can tell what is said of a job")
    return Job(name=name, configured=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConfig:
    """One reading of the configuration, as the service needs it."""

    jobs: Mapping[str, Job] = field(default_factory=dict)
    #: Makes the job that the first ping of an unknown name registers, with what a
    #: client says of it: words of afterrun.yml as a JSON object, "" for none. Raises
    #: ValueError, saying what is wrong with them. None where unknown jobs are rejected.
    unknown: Callable[[str, str], Job] | None = plain_job
    #: The projects that have keys.
    projects: tuple[Project, ...] = ()
    #: How many jobs there may be before unknown ones are rejected.
    max_jobs: int = 100_000
    settings: Settings = field(default_factory=Settings)
    #: How long after a start nothing that fell into the downtime is judged.
    settle: float = 120.0
    #: Finished runs are forgotten after `keep_for`, and beyond `keep_runs`.
    keep_for: float = 30 * 86400.0
    keep_runs: int = 1000
    #: Largest body that is read.
    body_bytes: int = 2**20
    #: What may be kept of pushes that are exposed again.
    pushed_bytes: int = 2**24

    def nameless(self, name: str, said: str = "") -> Job:
        """Return the job *name* that is in no file, whatever jobs may ping.

        What was *said* of it counts as far as this configuration understands it.
        """
        if self.unknown is not None:
            with suppress(ValueError):
                return self.unknown(name, said)
            return self.unknown(name, "")
        # Every job carries every declared label.
        some = next(iter(self.jobs.values()), plain_job(name))
        labels = tuple((key, "") for key, _ in some.labels)
        return replace(plain_job(name), labels=labels)

    def refusal(self, name: str) -> str:
        """Return why a ping may not register the job *name*."""
        if self.unknown is not None:
            return (
                f"unknown job {name!r}: there are {self.max_jobs} jobs already; "
                "raise limits.jobs to let pings register more"
            )
        return self.unknown_job(name)

    def unknown_job(self, name: str) -> str:
        """Return that there is no job *name*, and which one may have been meant."""
        few = self.jobs if len(self.jobs) <= MAX_SUGGESTIONS else ()
        meant = near(name, few)
        return f"unknown job {name!r}" + (f"; did you mean {meant!r}?" if meant else "")
