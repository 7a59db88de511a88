"""The alerting rules as data.

They are generic: their number does not depend on the number of jobs, and they apply to
every job from its first ping on. A job may have its own rules instead, at a higher cost.
They use only PromQL of Prometheus 2.42.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Job
from afterrun_exporter.rulegen import annotations as says
from afterrun_exporter.rulegen.alerting import Data, alert, record
from afterrun_exporter.rulegen.jobs import generic_rules, rules_of
from afterrun_exporter.rulegen.promql import (
    MEMORY,
    TARGET,
    any_of,
    merged,
    remembered,
    selector,
)

_JOBS_GROUP: Final = "afterrun-jobs"

_UP: Final = f'up{{job=~"{names.SCRAPE_JOB}"}}'

# Recorded every 10 minutes: to read every scrape of 6 hours of 100,000 jobs, or 36 of
# them, takes 10 seconds. The job that was made for a test alert is to go.
_WATCHED: Final = names.DEADLINE + selector((names.JOB, "!=", names.TEST_JOB))
_KNOWN: Final = f"group without ({TARGET}, {names.SEVERITY}) ({_WATCHED})"

# In order: every job of the last 6 hours, less those there now, while any exporter
# of that scrape job answered lately and none was down the whole time. An
# exporter that is down takes its jobs along: that is ExporterDown.
_DISAPPEARED: Final = f"""present_over_time({names.KNOWN}[6h])
unless on (job, {names.JOB}) last_over_time({names.DEADLINE}[{MEMORY}])
and on (job) present_over_time({names.BUILD_INFO}[{MEMORY}])
unless on (job) max_over_time(up[{MEMORY}]) == 0"""

# A rule hands all its alerts to one queue at once, and all rules share that queue: only
# one that holds them all drops none. It is reserved as a list of pointers, 8 bytes each.
# A Prometheus that does not evaluate these rules needs no such queue. Replicas of an
# exporter count the same jobs.
_QUEUE_SMALL: Final = f"""max by (job, instance) (
  prometheus_notifications_queue_capacity
  and on (job, instance) prometheus_rule_group_rules{{rule_group=~".*;{_JOBS_GROUP}"}}
)
< on () group_left ()
sum(max by (job, state) ({names.JOBS}))"""

# Two scrape jobs may know an exporter by two addresses: what they share is when its
# process started, to the hundredth of a second.
_SCRAPED_TWICE: Final = f"""max without (started) (
  count by (started) (
    count_values by (job) (
      "started",
      process_start_time_seconds and on (job, instance) {names.BUILD_INFO}
    )
  )
) > 1"""

# The time of a sample is that of the scrape, by Prometheus's clock. A scrape may take ten
# seconds.
_CLOCK_SKEWED: Final = f"abs({names.CLOCK} - timestamp({names.CLOCK})) > 30"


def rules_file(jobs: Iterable[Job] = (), hash_: str = "") -> Data:
    """Return the content of the rule file for Prometheus.

    Jobs with dedicated alerting rules are excluded from the generic ones. *hash_* is that
    of the configuration, or "".
    """
    dedicated = sorted((job for job in jobs if job.dedicated), key=lambda job: job.name)
    others = []
    if dedicated:
        others = [(names.JOB, "!~", any_of(job.name for job in dedicated))]
    return {
        "groups": [
            {"name": "afterrun-exporter", "rules": exporter_rules(hash_)},
            {"name": _JOBS_GROUP, "rules": generic_rules(*others)},
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
            {"name": "afterrun-gone", "interval": "1m", "rules": [_disappeared()]},
        ]
    }


def _disappeared() -> Data:
    return alert(
        names.JOB_DISAPPEARED,
        expr=_DISAPPEARED,
        severity="warning",
        summary="A job is no longer known, so it is not monitored.",
        description=says.DISAPPEARED,
    )


def exporter_rules(hash_: str = "") -> list[Data]:
    """Return the rules about the exporter itself and the delivery of alerts.

    Those that inhibit others come first: a group is evaluated and sent in order.
    *hash_* is that of the configuration which the others were generated from.
    """
    # A daemon without a configuration file has none: the generic rules will do.
    ours = selector(("hash", "!~", f"|{hash_}"))
    pushes = f"sum by (job, alertmanager) (rate({names.PUSHES}"
    rejected = f'{names.PINGS}{{{names.RESULT}="rejected"}}'
    return [
        alert(
            names.EXPORTER_DOWN,
            expr=f"{_UP} == 0",
            hold="2m",
            severity="critical",
            summary="AfterRun is down.",
            description=says.EXPORTER_DOWN,
        ),
        alert(
            names.EXPORTER_ABSENT,
            # One that is known to be down has its own alert.
            expr=f"absent({names.BUILD_INFO}) unless on () {_UP} == 0",
            # Less than MEMORY: it must be there before the alerts of jobs go.
            hold="5m",
            severity="critical",
            summary="No AfterRun exporter is being scraped.",
            description=says.EXPORTER_ABSENT,
        ),
        alert(
            names.STORAGE_FAILING,
            expr=f"sum by (job) (rate({names.STORAGE_ERRORS}[5m])) > 0",
            severity="critical",
            summary="Reports of jobs cannot be stored.",
            description=says.STORAGE_FAILING,
        ),
        alert(
            names.CONFIG_RELOAD_FAILED,
            expr=f"{_own(names.RELOAD_SUCCESSFUL)} == 0\nor\n"
            f"{_own(names.ALERTMANAGER_RELOAD_SUCCESSFUL)} == 0",
            severity="warning",
            summary="A changed configuration was rejected.",
            description=says.CONFIG_RELOAD_FAILED,
        ),
        alert(
            names.PINGS_REJECTED,
            # The counter is there from the start, at 0: increase() would not see
            # the first rejection of one that begins at 1.
            expr=f"sum by (job, {names.DIALECT}) (increase({rejected}[10m])) > 0",
            severity="warning",
            summary="Reports of jobs are being rejected.",
            description=says.PINGS_REJECTED,
        ),
        alert(
            names.RULES_OUTDATED,
            expr=f"count by (job) (\n  {remembered(names.CONFIG_INFO + ours, subject='')}\n) > 0",
            # Time to carry the new files to everyone who reads them.
            hold="15m",
            severity="info",
            summary="The alerting rules belong to another configuration.",
            description=says.RULES_OUTDATED,
        ),
        alert(
            names.PUSH_FAILING,
            expr=f'{pushes}{{{names.RESULT}="failed"}}[5m])) > 0\n'
            f'unless {pushes}{{{names.RESULT}="ok"}}[5m])) > 0',
            hold="5m",
            severity="warning",
            summary="Alerts cannot be posted to Alertmanager.",
            description=says.PUSH_FAILING,
        ),
        alert(
            names.NOTIFICATIONS_DROPPED,
            expr="sum by (job, instance) "
            "(rate(prometheus_notifications_dropped_total[5m])) > 0",
            severity="critical",
            summary="Prometheus loses alerts on the way to Alertmanager.",
            description=says.NOTIFICATIONS_DROPPED,
        ),
        alert(
            names.NOTIFICATION_QUEUE_SMALL,
            expr=_QUEUE_SMALL,
            # Jobs may be counted twice while an exporter is replaced.
            hold="15m",
            severity="warning",
            summary="Prometheus may lose alerts when many jobs fail at once.",
            description=says.NOTIFICATION_QUEUE_SMALL,
        ),
        alert(
            names.JOBS_UNOBSERVED,
            expr=f"{_own(names.UNOBSERVED_JOBS, 'max')} > 0",
            severity="warning",
            summary="Jobs were due while AfterRun was down.",
            description=says.JOBS_UNOBSERVED,
        ),
        alert(
            names.SCRAPED_TWICE,
            expr=_SCRAPED_TWICE,
            # A target that moves to another scrape job is in both for a while.
            hold="5m",
            severity="warning",
            summary="An exporter is scraped by two jobs, so each alert is sent twice.",
            description=says.SCRAPED_TWICE,
        ),
        alert(
            names.CLOCK_SKEWED,
            expr=_CLOCK_SKEWED,
            # A clock that is corrected is right with the next scrape.
            hold="5m",
            severity="warning",
            summary="The clocks of Prometheus and AfterRun differ.",
            description=says.CLOCK_SKEWED,
        ),
        alert(
            names.WATCHDOG,
            expr="vector(1)",
            severity="none",
            summary="The alerting chain works; this alert always fires.",
            description=says.WATCHDOG,
        ),
    ]


def _own(gauge: str, aggregation: str = "min") -> str:
    """Return the worst value of a gauge of all exporters."""
    return merged(gauge, aggregation, subject="")
