"""Runs of one job that are open at once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from afterrun_exporter.core.deadlines import is_unobserved
from afterrun_exporter.core.model import Job, Ping, Settings
from afterrun_exporter.core.state import JobState

#: It is remembered as long as the run is open, and shown.
MAX_GROUP: Final = 200


def group_of(job: Job, ping: Ping) -> str:
    """Return which runs the one that *ping* starts may not overlap.

    That is the value of the metadata field that `concurrency.by` names; runs
    without it are a group of their own.
    """
    if job.concurrency is None or job.concurrency.by is None or not ping.metadata:
        return ""
    by = job.concurrency.by.removeprefix("metadata.")
    value = json.loads(ping.metadata).get(by)
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    # It may be half a character (\ud800), which UTF-8 cannot hold.
    return text[:MAX_GROUP].encode("utf-8", "replace").decode()


def overlap(job: Job, state: JobState, settings: Settings) -> str:
    """Return in words what overlaps more than it may; "" when nothing does.

    A run that may have ended unobserved overlaps with none.
    """
    if job.concurrency is None:
        return ""
    groups = Counter(
        run.group for run in state.open_runs if not is_unobserved(job, run, settings)
    )
    group, count = max(groups.items(), key=lambda item: item[1], default=("", 0))
    if count <= job.concurrency.max:
        return ""
    whose = ""
    if (by := job.concurrency.by) is not None:
        whose = f" with {by} {group!r}" if group else f" without {by}"
    return f"{count} runs{whose} are open at once, {job.concurrency.max} may be"
