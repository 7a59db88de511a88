"""The PromQL that alerting rules and dashboards share: how a gauge of ours is read."""

from __future__ import annotations

from typing import Final

from afterrun_exporter import conventions as names

#: How long the last value counts while the exporter does not answer. Longer
#: than ExporterDown and ExporterAbsent wait, so that they take over before it ends.
MEMORY: Final = "10m"

#: Labels that change when the exporter moves or is scraped twice. An alert
#: with one of them would resolve and open anew.
TARGET: Final = "instance, pod"


def remembered(metric: str) -> str:
    """Return *metric* as it is or, while its exporter does not answer, as it was.

    Only then: the last value of a job that was retired, or whose severity was
    edited, is no news once its exporter has answered without it.
    """
    return f"""{metric}
  or
  (last_over_time({metric}[{MEMORY}]) unless on (job, instance) {names.BUILD_INFO})"""


def merged(metric: str, aggregation: str = "max") -> str:
    """Return one `remembered` series for a job, however often it is scraped."""
    return f"""{aggregation} without ({TARGET}) (
  {remembered(metric)}
)"""


def passed(metric: str) -> str:
    """Return the instants in *metric* that had passed when we last looked.

    Not `time() > ...`: a deadline that passes while the exporter is restarting
    is no miss, and no ping can move it meanwhile. The latest scrape is looked
    for every second: any coarser, and an alert could flap when scrapes stop.
    """
    return f"""{merged(metric)}
< on (job) group_left ()
max by (job) (
  max_over_time(timestamp({names.BUILD_INFO})[{MEMORY}:1s])
)"""
