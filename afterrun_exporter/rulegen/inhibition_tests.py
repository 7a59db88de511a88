"""Generation of tests for the inhibit rules of alertmanager.yml, for amlint.

Expectations follow docs/routing.md, not the rules: an alert is silenced only by an alert
that explains it. Rules of a base are tested as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import Alertmanager
from afterrun_exporter.core.severities import severities
from afterrun_exporter.rulegen import render

_HOW: Final = """\
# Which alerts silence which others. Run by amlint (pip install amlint):
#   amlint test {config} {file}
# exits with 1 if an alert of a job is silenced by another job's, or by something else.
"""

#: Alerts about jobs with notifications.
_NOTIFIED: Final = (
    names.JOB_MISSED,
    names.JOB_FAILING,
    names.JOB_RULE_VIOLATED,
    names.JOB_OVERRUNNING,
    names.JOB_OVERLAPPING,
    names.JOB_SLOW,
    names.JOB_SUCCESS_RATIO_LOW,
    names.JOB_DISAPPEARED,
)
_NEEDS_ANOTHER: Final = frozenset(_NOTIFIED) - {
    names.JOB_OVERLAPPING,
    names.JOB_DISAPPEARED,
}
#: Alerts that are explained by an alert of the same job, or of the same exporter.
_SAME_JOB: Final = {
    names.JOB_OVERRUNNING: {names.JOB_MISSED},
    names.JOB_UPSTREAM_UNHEALTHY: _NEEDS_ANOTHER,
}
_SAME_EXPORTER: Final = {
    names.EXPORTER_DOWN: frozenset(_NOTIFIED),
    names.EXPORTER_ABSENT: frozenset(_NOTIFIED),
    names.STORAGE_FAILING: {names.JOB_MISSED, names.JOB_OVERRUNNING},
}

#: The maximum number of combinations of severity and labels in the tests.
MOST_KINDS: Final = 20

Labels = dict[str, str]


def text(jobs: Mapping[str, Job], alertmanager: Alertmanager, config: str) -> str:
    """Return the tests of alertmanager.yml, which is at *config*."""
    file = f"{config.rpartition('/')[0]}/inhibitions.test.yml"
    how = _HOW.format(file=file, config=config)
    return render.to_yaml(list(_cases(jobs, alertmanager)), how)


def _cases(
    jobs: Mapping[str, Job], alertmanager: Alertmanager
) -> Iterator[dict[str, Any]]:
    added = dict(alertmanager.labels)
    kinds = list(islice(_kinds(jobs.values()), MOST_KINDS))
    # The same list object for all, so that YAML uses an alias.
    others = list(_others(jobs, kinds, added))
    for job, severity, declared in kinds:
        for alert in _NOTIFIED:
            labels = _alert(alert, job, severity, declared, added)
            yield {
                "name": f"{alert} of {job} ({severity}) is sent whatever else fires",
                "labels": labels,
                "firing": others,
                "inhibited": False,
            }
    job, severity, declared = kinds[0]
    for alert in _NOTIFIED:
        labels = _alert(alert, job, severity, declared, added)
        for source, targets in (*_SAME_JOB.items(), *_SAME_EXPORTER.items()):
            own = _alert(source, job, severity, declared, added)
            if source in _SAME_EXPORTER:
                own = _of_exporter(source, added)
            if source != alert:
                word = "silences" if alert in targets else "does not silence"
                yield {
                    "name": f"{source} {word} {alert} of {job}",
                    "labels": labels,
                    "firing": [own],
                    "inhibited": alert in targets,
                }
    strict, mild = (
        _alert(names.JOB_RULE_VIOLATED, job, word, declared, added)
        for word in ("critical", "warning")
    )
    for metric, silenced in (("rows", True), ("size", False)):
        yield {
            "name": f"a critical rule and a milder one of {job}, on rows and {metric}",
            "labels": {**mild, names.METRIC: metric},
            "firing": [strict],
            "inhibited": silenced,
        }


def _kinds(jobs: Iterable[Job]) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Yield a job, a severity and labels for each distinct combination."""
    for severity in names.SEVERITIES:
        yield "registered-by-a-ping", severity, {}
    combinations: set[tuple[str, tuple[tuple[str, str], ...]]]
    combinations = {(severity, ()) for severity in names.SEVERITIES}
    for job in jobs:
        for severity in sorted(severities(job)):
            if (severity, job.labels) not in combinations:
                combinations.add((severity, job.labels))
                labels = {key: value for key, value in job.labels if value}
                yield job.name, severity, labels


def _others(
    jobs: Mapping[str, Job],
    kinds: Iterable[tuple[str, str, Mapping[str, str]]],
    added: Labels,
) -> Iterator[Labels]:
    """Yield alerts of another job with every severity, and one of another system."""
    other = "another-job"
    while other in jobs:
        other += "-still"
    labels = {tuple(declared.items()): declared for _, _, declared in kinds}
    severities = dict.fromkeys(
        [*names.SEVERITIES, *(severity for _, severity, _ in kinds)]
    )
    for declared in labels.values():
        for severity in severities:
            for alert in _NOTIFIED:
                yield _alert(alert, other, severity, declared, added)
        yield _alert(names.JOB_UPSTREAM_UNHEALTHY, other, "none", declared, added)
    yield {"alertname": "NodeDown", "instance": "node-1", names.SEVERITY: "critical"}


def _alert(
    alert: str, job: str, severity: str, declared: Mapping[str, str], added: Labels
) -> Labels:
    if alert == names.JOB_UPSTREAM_UNHEALTHY:
        severity = names.NO_SEVERITY
    rule = {names.RULE: "rows > 0", names.METRIC: "rows"}
    return {
        "alertname": alert,
        names.JOB: job,
        names.SEVERITY: severity,
        **declared,
        **added,
        **(rule if alert == names.JOB_RULE_VIOLATED else {}),
    }


def _of_exporter(alert: str, added: Labels) -> Labels:
    instance = {"instance": "a:10707"} if alert == names.EXPORTER_DOWN else {}
    # An absent exporter has no label job.
    shared = {
        k: v for k, v in added.items() if alert != names.EXPORTER_ABSENT or k != "job"
    }
    return {"alertname": alert, names.SEVERITY: "critical", **instance, **shared}
