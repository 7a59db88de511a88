"""What a webhook was told during a storm, and what of that is wrong."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from afterrun_exporter import conventions as names

from .fleet import Fleet

FIRING: Final = "firing"


@dataclass(slots=True)
class Findings:
    """When each failing job was told, and what else came."""

    #: Seconds from the first evaluation in which an alert fired, by job.
    told: dict[str, float] = field(default_factory=dict)
    #: How often.
    times: Counter[str] = field(default_factory=Counter)
    resolved: set[str] = field(default_factory=set)
    messages: int = 0
    #: Alerts that are not about jobs.
    others: set[str] = field(default_factory=set)

    def problems(self, fleet: Fleet, within: float) -> list[str]:
        """Return what is not as it should be, in words; [] for nothing."""
        roots, children = fleet.roots, fleet.children
        late = {job for job, after in self.told.items() if after > within}
        found = {
            "not told": roots - set(self.told),
            f"told after more than {within:g} s": late & roots,
            "told more than once": {j for j, n in self.times.items() if n > 1},
            "told as resolved while failing": self.resolved,
            "told although another job is to blame": set(self.told) & children,
            "told although nothing is wrong": set(self.told) - roots - children,
        }
        return [
            f"{len(jobs)} {what}, such as {min(jobs)}"
            for what, jobs in found.items()
            if jobs
        ]

    @property
    def last(self) -> float:
        """Seconds until the last job was told for the first time."""
        return max(self.told.values(), default=0.0)


def read(posted: Path) -> Findings:
    """Return what the webhook wrote to the file *posted*."""
    found = Findings()
    firsts: dict[str, float] = {}
    started: list[float] = []
    for post in _posts(posted):
        found.messages += 1
        for alert in post["body"]["alerts"]:
            labels = alert["labels"]
            job = labels.get(names.JOB)
            if job is None:
                found.others.add(labels["alertname"])
            elif alert["status"] == FIRING:
                firsts.setdefault(job, post["at"])
                found.times[job] += 1
                started.append(datetime.fromisoformat(alert["startsAt"]).timestamp())
            else:
                found.resolved.add(job)
    if started:
        begin = min(started)
        found.told = {job: at - begin for job, at in firsts.items()}
    return found


def _posts(posted: Path) -> list[dict[str, Any]]:
    if not posted.exists():
        return []
    lines = posted.read_text().splitlines(keepends=True)
    # The last line may be under way.
    return [json.loads(line) for line in lines if line.endswith("\n")]
