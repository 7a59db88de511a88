"""Links in alerts: the page of the job, its runbook, and a form for a silence."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen.alerting import Data, unescaped

#: The job of an alert, in Prometheus' template language.
_JOB: Final = "{{ $labels.job_name }}"
#: Alerts that fire while the daemon does not answer: their links lead elsewhere.
_DOWN: Final = frozenset({names.EXPORTER_DOWN, names.EXPORTER_ABSENT})
_ABOUT_JOBS: Final = frozenset(names.ALERT_OF.values())

#: Further matchers of a silence. Browsers read a plus sign after # as one.
_ANY_RULE: Final = (
    '{{ with $labels.rule }}{{ printf ",rule=%q" . | urlquery '
    '| reReplaceAll "\\\\+" "%20" }}{{ end }}'
)
_ANY_INSTANCE: Final = (
    '{{ with $labels.instance }}{{ printf ",instance=%q" . | urlquery }}{{ end }}'
)


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


def silence_link(
    alert: str, alertmanager_url: str, job: str = _JOB, rule: str | None = None
) -> dict[str, str]:
    """Return the annotation of *alert* that leads to a form for a silence of it.

    *rule* is the rule of the job, "" for an alert without one, None for that of the
    series. There is none without *alertmanager_url*, the URL that browsers open.
    """
    if not alertmanager_url:
        return {}
    start, end = quote(f'{{alertname="{alert}"', safe=""), quote("}")
    more = _ANY_INSTANCE
    if alert in _ABOUT_JOBS:
        start += quote(f",{names.JOB}=", safe="") + f"%22{job}%22"
        more = _ANY_RULE if alert == names.JOB_RULE_VIOLATED else ""
    if rule is not None:
        text = json.dumps(rule, ensure_ascii=False)
        more = quote(f",{names.RULE}={text}", safe="") if rule else ""
    url = f"{alertmanager_url}/#/silences/new?filter={start}{more}{end}"
    return {"silence_url": url}


def with_links(
    groups: Iterable[Data], external_url: str, alertmanager_url: str = ""
) -> list[Data]:
    """Return the *groups* of rules with links.

    They lead to the daemon at *external_url* and to Alertmanager at *alertmanager_url*.
    """
    return [
        {
            **group,
            "rules": [
                _linked(rule, external_url, alertmanager_url) for rule in group["rules"]
            ],
        }
        for group in groups
    ]


def _linked(rule: Data, external_url: str, alertmanager_url: str) -> Data:
    if "alert" not in rule:
        return rule
    annotations, to_daemon = rule["annotations"], links(rule["alert"], external_url)
    if annotations["runbook_url"] != links(rule["alert"], "")["runbook_url"]:
        # The job's own.
        to_daemon["runbook_url"] = annotations["runbook_url"]
    # Templates do not see the labels that the rule itself adds.
    own = rule.get("labels", {}).get(names.RULE)
    silence = silence_link(rule["alert"], alertmanager_url, rule=own and unescaped(own))
    return {**rule, "annotations": annotations | to_daemon | silence}
