"""What `afterrun serve` says first: where it is, and what to try."""

from __future__ import annotations

import json
from collections.abc import Iterable

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import DURATION

#: What is tried out where there is no job yet.
_ANY_JOB = "my-job"
_ANY_METRIC = "rows_processed"


def usage(url: str, telemetry_path: str, jobs: Iterable[Job]) -> str:
    """Return the two commands that show a ping and its verdict."""
    job, body = example(jobs)
    return (
        f"  report a run:     curl -fsS {url}/ping/{job} -d '{body}'\n"
        f"  see the verdict:  curl -fsS {url}{telemetry_path} | grep {job}"
    )


def example(jobs: Iterable[Job]) -> tuple[str, str]:
    """Return a job and a report of it, one with a metric that it has a rule for."""
    watched = [job for job in jobs if job.enabled]
    for job in watched:
        for rule in job.rules:
            if rule.metric != DURATION:
                return job.name, _report(rule.metric)
    if watched:
        return watched[0].name, json.dumps({"status": "ok"})
    return _ANY_JOB, _report(_ANY_METRIC)


def _report(metric: str) -> str:
    return json.dumps({"metrics": {metric: 0}})
