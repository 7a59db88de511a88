"""The alerting rules as data.

They are generic: their number does not depend on the number of jobs, and they apply to
every job from its first ping on. A job may have its own rules instead, at a higher cost.
They use only PromQL of Prometheus 2.42.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Job
from afterrun_exporter.rulegen.alerting import Data, alert, record
from afterrun_exporter.rulegen.jobs import generic_rules, rules_of
from afterrun_exporter.rulegen.links import with_links
from afterrun_exporter.rulegen.promql import LATELY, MEMORY, TARGET, any_of, selector
from afterrun_exporter.rulegen.render import TEMPLATES, read_yaml

# Recorded every 10 minutes: to read every scrape of 6 hours of 100,000 jobs, or 36 of
# them, takes 10 seconds. The job that was made for a test alert is to go.
_WATCHED: Final = names.DEADLINE + selector((names.JOB, "!=", names.TEST_JOB))
_KNOWN: Final = f"group without ({TARGET}, {names.SEVERITY}) ({_WATCHED})"


def rules_file(
    jobs: Iterable[Job] = (),
    hash_: str = "",
    external_url: str = "",
    alertmanager_url: str = "",
) -> Data:
    """Return the content of the rule file for Prometheus.

    Jobs with dedicated alerting rules are excluded from the generic ones. *hash_* is that
    of the configuration, or "". Alerts link to the daemon at *external_url*,
    and to Alertmanager at *alertmanager_url*.
    """
    dedicated = sorted((job for job in jobs if job.dedicated), key=lambda job: job.name)
    others = []
    if dedicated:
        others = [(names.JOB, "!~", any_of(job.name for job in dedicated))]
    groups: list[Data] = [
        {"name": "afterrun-exporter", "rules": exporter_rules(hash_)},
        {"name": "afterrun-jobs", "rules": generic_rules(*others)},
        *(
            {"name": f"afterrun-job-{job.name}", "rules": rules_of(job)}
            for job in dedicated
        ),
        {
            "name": "afterrun-known",
            "interval": "10m",
            "rules": [record(names.KNOWN, _KNOWN)],
        },
        # It has a range of hours, and a delay of a minute is acceptable.
        {
            "name": "afterrun-gone",
            "interval": "1m",
            "rules": [_from_file(names.JOB_DISAPPEARED)],
        },
    ]
    return {"groups": with_links(groups, external_url, alertmanager_url)}


def exporter_rules(hash_: str = "") -> list[Data]:
    """Return the rules about the exporter itself and the delivery of alerts.

    *hash_* is that of the configuration which the others were generated from.
    """
    alerts = [name for name in _read() if name != names.JOB_DISAPPEARED]
    return [_from_file(name, hash_) for name in alerts]


def _from_file(name: str, hash_: str = "") -> Data:
    rule = _read()[name]
    expr = rule["expr"].replace("@HASH@", hash_).replace("@MEMORY@", MEMORY)
    expr = expr.replace("@LATELY@", LATELY)
    return alert(
        name,
        expr=expr.replace("@SCRAPE_JOB@", names.SCRAPE_JOB),
        hold=rule.get("for"),
        severity=rule["severity"],
        summary=rule["summary"],
        description=rule["description"],
    )


@cache
def _read() -> Mapping[str, Any]:
    return read_yaml(TEMPLATES / "exporter_alerts.yml")
