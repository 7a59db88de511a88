"""The alerting rules, as data.

They are generic: as many rules for a hundred thousand jobs as for one, and right
for every job from its first ping on. Only PromQL that 2.42 knows.
"""

from __future__ import annotations

from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen import annotations as says
from afterrun_exporter.rulegen.promql import MEMORY, TARGET, merged, passed

#: One alerting rule, or a whole rule file, as Prometheus's YAML has it.
Data = dict[str, Any]

_UP: Final = f'up{{job=~"{names.SCRAPE_JOB}"}}'

# In order: every job of the last 6 hours, less those there now, while any exporter
# of that scrape job answered lately and none was down the whole time. An
# exporter that is down takes its jobs along: that is ExporterDown.
_DISAPPEARED: Final = f"""group without ({TARGET}, {names.SEVERITY}) (
  present_over_time({names.DEADLINE}[6h:10m])
)
unless on (job, {names.JOB}) last_over_time({names.DEADLINE}[{MEMORY}])
and on (job) present_over_time({names.BUILD_INFO}[{MEMORY}])
unless on (job) max_over_time(up[{MEMORY}]) == 0"""


def rules_file() -> Data:
    """Return the content of the file that Prometheus loads."""
    return {
        "groups": [
            {"name": "afterrun-jobs", "rules": job_rules()},
            # It looks hours back, and a minute later is soon enough for it.
            {"name": "afterrun-gone", "interval": "1m", "rules": [_disappeared()]},
            {"name": "afterrun-exporter", "rules": exporter_rules()},
        ]
    }


def job_rules() -> list[Data]:
    """Return the rules about jobs; severity and declared labels come along.

    None has a `for`: one scrape that fails would start it over.
    """
    return [
        _alert(
            names.JOB_MISSED,
            expr=passed(names.DEADLINE),
            summary="A job has not run when it should have.",
            description=says.MISSED,
        ),
        _alert(
            names.JOB_FAILING,
            expr=f"{merged(names.FAILING)} == 1",
            summary="A job fails.",
            description=says.FAILING,
        ),
        _alert(
            names.JOB_RULE_VIOLATED,
            expr=f"{merged(names.RULE_VIOLATED)} == 1",
            summary="A job ran, and its result breaks a rule.",
            description=says.RULE_VIOLATED,
        ),
        _alert(
            names.JOB_OVERRUNNING,
            expr=passed(names.RUN_DEADLINE),
            summary="A run takes longer than it may.",
            description=says.OVERRUNNING,
        ),
    ]


def _disappeared() -> Data:
    return _alert(
        names.JOB_DISAPPEARED,
        expr=_DISAPPEARED,
        severity="warning",
        summary="A job is no longer known, so nobody watches it.",
        description=says.DISAPPEARED,
    )


def exporter_rules() -> list[Data]:
    """Return the rules about the exporter itself and the way to the reader."""
    rejected = f'{names.PINGS}{{{names.RESULT}="rejected"}}'
    return [
        _alert(
            names.EXPORTER_DOWN,
            expr=f"{_UP} == 0",
            hold="2m",
            severity="critical",
            summary="AfterRun does not answer.",
            description=says.EXPORTER_DOWN,
        ),
        _alert(
            names.EXPORTER_ABSENT,
            # One that is known to be down has its own alert.
            expr=f"absent({names.BUILD_INFO}) unless on () {_UP} == 0",
            # Less than MEMORY: it must be there before the alerts of jobs go.
            hold="5m",
            severity="critical",
            summary="No AfterRun exporter is being scraped.",
            description=says.EXPORTER_ABSENT,
        ),
        _alert(
            names.CONFIG_RELOAD_FAILED,
            expr=f"{merged(names.RELOAD_SUCCESSFUL, 'min')} == 0",
            severity="warning",
            summary="A changed configuration was refused.",
            description=says.CONFIG_RELOAD_FAILED,
        ),
        _alert(
            names.PINGS_REJECTED,
            # The counter is there from the start, at 0: increase() would not see
            # the first rejection of one that begins at 1.
            expr=f"sum by (job, {names.DIALECT}) (increase({rejected}[10m])) > 0",
            severity="warning",
            summary="Reports of jobs are being refused.",
            description=says.PINGS_REJECTED,
        ),
        _alert(
            names.STORAGE_FAILING,
            expr=f"sum by (job) (rate({names.STORAGE_ERRORS}[5m])) > 0",
            severity="critical",
            summary="Reports of jobs cannot be stored.",
            description=says.STORAGE_FAILING,
        ),
        _alert(
            names.WATCHDOG,
            expr="vector(1)",
            severity="none",
            summary="The alerting chain works; this alert always fires.",
            description=says.WATCHDOG,
        ),
    ]


def _alert(
    name: str,
    *,
    expr: str,
    summary: str,
    description: str,
    hold: str | None = None,
    severity: str | None = None,
) -> Data:
    """Return one rule; without *severity* the series bring theirs along.

    The summary is a fixed sentence, so that pagers group by it. Labels are fixed
    too: a templated one would make a new alert of each value.
    """
    return {
        "alert": name,
        "expr": expr,
        **({"for": hold} if hold else {}),
        **({"labels": {names.SEVERITY: severity}} if severity else {}),
        "annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": f"{names.RUNBOOK}#{name.lower()}",
        },
    }
