"""Links in alerts to the daemon: the page of the job, and the runbook of its version."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen.alerting import Data

#: The job of an alert, in Prometheus' template language.
_JOB: Final = "{{ $labels.job_name }}"
#: Alerts that fire while the daemon does not answer: their links lead elsewhere.
_DOWN: Final = frozenset({names.EXPORTER_DOWN, names.EXPORTER_ABSENT})
_ABOUT_JOBS: Final = frozenset(names.ALERT_OF.values())


def links(alert: str, external_url: str, job: str = _JOB) -> dict[str, str]:
    """Return the annotations of *alert* that are links; *job* is its job.

    Without an *external_url* of the daemon, the runbook is the one of the repository. The
    runbook of an alert about a job redirects to the job's own, if it has one.
    """
    section = alert.lower()
    if not external_url or alert in _DOWN:
        return {"runbook_url": f"{names.RUNBOOK}#{section}"}
    if alert not in _ABOUT_JOBS:
        return {"runbook_url": f"{external_url}/runbook#{section}"}
    page = f"{external_url}/jobs/{job}"
    return {"page_url": page, "runbook_url": f"{page}/runbook#{section}"}


def with_links(groups: Iterable[Data], external_url: str) -> list[Data]:
    """Return the *groups* of rules with links to the daemon at *external_url*."""
    return [
        {**group, "rules": [_linked(rule, external_url) for rule in group["rules"]]}
        for group in groups
    ]


def _linked(rule: Data, external_url: str) -> Data:
    if "alert" not in rule:
        return rule
    annotations, to_daemon = rule["annotations"], links(rule["alert"], external_url)
    if annotations["runbook_url"] != links(rule["alert"], "")["runbook_url"]:
        # The job's own.
        to_daemon["runbook_url"] = annotations["runbook_url"]
    return {**rule, "annotations": annotations | to_daemon}
