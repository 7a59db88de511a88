"""What `afterrun serve` says first: where it is, and what to try."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from afterrun_exporter.core.metric_names import PLAIN
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import DURATION, Rule

#: What is tried out where there is no job yet.
_ANY_JOB = "my-job"
_ANY_METRIC = "rows_processed"


#: Said where everybody can come in who reaches the port.
OPEN: Final = (
    "  open to everybody who reaches this port: they may report, read and change "
    "everything;\n  set auth in afterrun.yml, or listen on 127.0.0.1"
)
#: What `curl` sends where a token is wanted.
_SHOWN: Final = '-H "Authorization: Bearer $AFTERRUN_TOKEN" '


def usage(
    url: str, telemetry_path: str, jobs: Iterable[Job], *, locked: bool = False
) -> str:
    """Return the two commands that show a ping and its verdict.

    Where the daemon is *locked*, they send a token.
    """
    job, body = example(jobs)
    token = _SHOWN if locked else ""
    return (
        f"  report a run:     curl -fsS {token}{url}/ping/{job} -d '{body}'\n"
        f"  see the verdict:  curl -fsS {token}{url}{telemetry_path} | grep {job}"
    )


def example(jobs: Iterable[Job]) -> tuple[str, str]:
    """Return a job and a report of it, one with a metric that it has a rule for."""
    watched = [job for job in jobs if job.enabled]
    for job in watched:
        for rule in job.rules:
            if _is_simple(rule):
                return job.name, _report(rule.metric)
    if watched:
        return watched[0].name, json.dumps({"status": "ok"})
    return _ANY_JOB, _report(_ANY_METRIC)


def _is_simple(rule: Rule) -> bool:
    """Return True if a report on *rule* can be pasted into any shell."""
    is_number = rule.assertion is None and rule.metric != DURATION
    return is_number and PLAIN.fullmatch(rule.metric) is not None


def _report(metric: str) -> str:
    return json.dumps({"metrics": {metric: 0}})
