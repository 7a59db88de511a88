"""The startup message of `afterrun serve`: its address and example commands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from afterrun_exporter.core.metric_names import PLAIN
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import DURATION, Rule

#: The example job, if none is configured.
_ANY_JOB = "my-job"
_ANY_METRIC = "rows_processed"


#: Printed if the daemon is open and reachable from other machines.
OPEN: Final = (
    "  no authentication: every client that reaches this port can report, read and "
    "change everything;\n  set auth in afterrun.yml, or listen on 127.0.0.1"
)
#: The option of `curl` for a token.
_AUTHORIZATION: Final = '-H "Authorization: Bearer $AFTERRUN_TOKEN" '


def usage(
    url: str, telemetry_path: str, jobs: Iterable[Job], *, locked: bool = False
) -> str:
    """Return two example commands: a ping, and the metrics of its job.

    They send a token if the daemon is *locked*.
    """
    job, body = example(jobs)
    token = _AUTHORIZATION if locked else ""
    return (
        f"  report a run:     curl -fsS {token}{url}/ping/{job} -d '{body}'\n"
        f"  see the result:   curl -fsS {token}{url}{telemetry_path} | grep {job}"
    )


def example(jobs: Iterable[Job]) -> tuple[str, str]:
    """Return a job and a report of it, if possible with a metric that has a rule."""
    watched = [job for job in jobs if job.enabled]
    for job in watched:
        for rule in job.rules:
            if _is_simple(rule):
                return job.name, _report(rule.metric)
    if watched:
        return watched[0].name, json.dumps({"status": "ok"})
    return _ANY_JOB, _report(_ANY_METRIC)


def _is_simple(rule: Rule) -> bool:
    """Return True if a report for *rule* is safe in any shell."""
    is_number = rule.assertion is None and rule.metric != DURATION
    return is_number and PLAIN.fullmatch(rule.metric) is not None


def _report(metric: str) -> str:
    return json.dumps({"metrics": {metric: 0}})
