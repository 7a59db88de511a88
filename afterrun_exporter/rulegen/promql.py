"""The PromQL that alerting rules and dashboards share: how a gauge of ours is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from afterrun_exporter import conventions as names

#: How long the last value counts while the exporter does not answer. Longer
#: than ExporterDown and ExporterAbsent wait, so that they take over before it ends.
MEMORY: Final = "10m"

#: Labels that change when the exporter moves or is scraped twice. An alert
#: with one of them would resolve and open anew.
TARGET: Final = "instance, pod"

_SPECIAL: Final = re.compile(r"[.*+?()|\[\]{}^$\\]")


def selector(*matchers: tuple[str, str, str]) -> str:
    """Return (label, operator, value) matchers in braces; "" without any."""
    told = (f"{label}{op}{quoted(value)}" for label, op, value in matchers)
    return f"{{{','.join(told)}}}" if matchers else ""


def quoted(text: str) -> str:
    """Return *text* as a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    # Prometheus reads no replacement character but an escaped one.
    escaped = escaped.replace("\ufffd", "\\ufffd")
    return f'"{escaped}"'


def any_of(texts: Iterable[str]) -> str:
    """Return the regular expression, as RE2 has it, for any of *texts*."""
    return "|".join(_SPECIAL.sub(r"\\\g<0>", text) for text in texts)


def remembered(metric: str, subject: str = names.JOB) -> str:
    """Return *metric* as it is or, while its exporter does not answer, as it was.

    Only then: the last value of a job that was retired, or whose severity was
    edited, does not count once its exporter has answered without it; and that of
    an exporter that was replaced does not count where another one reports the same
    *subject*, a label: "" for what exporters report of themselves.
    """
    family, _, _ = metric.partition("{")
    labels = f"job, {subject}" if subject else "job"
    return f"""{metric}
  or
  (
    last_over_time({metric}[{MEMORY}])
    unless on (job, instance) {names.BUILD_INFO}
    unless on ({labels}) {family}
  )"""


def merged(
    metric: str,
    aggregation: str = "max",
    without: str = TARGET,
    subject: str = names.JOB,
) -> str:
    """Return one `remembered` series for a job, however often it is scraped.

    It has all labels but those in *without*.
    """
    return f"""{aggregation} without ({without}) (
  {remembered(metric, subject)}
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
