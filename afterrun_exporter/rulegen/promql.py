"""PromQL expressions shared by alerting rules and dashboards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import indent
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Condition

#: The time for which the last value counts while the exporter is down. It is longer than
#: `for` of ExporterDown and ExporterAbsent, so that these fire before it ends.
MEMORY: Final = "10m"

#: Labels that change when the exporter moves or is scraped twice. With one of them, an
#: alert would resolve and open again.
TARGET: Final = "instance, pod"

_SPECIAL: Final = re.compile(r"[.*+?()|\[\]{}^$\\]")


def selector(*matchers: tuple[str, str, str]) -> str:
    """Return (label, operator, value) matchers in braces; "" without any."""
    pairs = (f"{label}{op}{quoted(value)}" for label, op, value in matchers)
    return f"{{{','.join(pairs)}}}" if matchers else ""


def quoted(text: str) -> str:
    """Return *text* as a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    # Prometheus only accepts an escaped replacement character.
    escaped = escaped.replace("\ufffd", "\\ufffd")
    return f'"{escaped}"'


def any_of(texts: Iterable[str]) -> str:
    """Return the RE2 regular expression for any of *texts*."""
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


def firing(gauge: str, without: str = TARGET) -> str:
    """Return one series for each job whose *gauge* is 1, or was when last seen.

    It is `merged` and compared, in an order that costs least where few are 1.
    """
    family, _, _ = gauge.partition("{")
    return f"""max without ({without}) (
  {gauge} == 1
  or
  (
    last_over_time({gauge}[{MEMORY}]) == 1
    unless on (job, instance) {names.BUILD_INFO}
    unless on (job, {names.JOB}) {family}
  )
)"""


def detail(condition: Condition, name: str, among: str, by: Iterable[str] = ()) -> str:
    """Return a value that texts of alerts give, for each job and each of *by*.

    *among* selects the jobs, in braces.
    """
    of = selector((names.CONDITION, "=", condition.value), (names.DETAIL, "=", name))
    of = f"{of[:-1]},{among[1:]}" if among else of
    return f"max by ({_by(by)}) ({names.ALERT_DETAIL}{of})"


def labelled(values: str, label: str = names.CARRIED, by: Iterable[str] = ()) -> str:
    """Return *values* as a label of each job and each of *by*."""
    return f'count_values by ({_by(by)}) ("{label}", {values})'


def detailed(gauge: str, value: str, label: str = "", by: Iterable[str] = ()) -> str:
    """Return `firing`, joined with a *value* and a *label* if they are known.

    Both are about each job and each of *by*. The label is `CARRIED`. The alerts
    are the same without them: what fires is told even if nothing else is known.
    """
    carried = names.CARRIED if label else ""
    details = value
    if label:
        details += f"\n* on ({_by(by)}) group_left ({carried})\n{label}"
    return f"""max without ({TARGET}) ({gauge} == 1)
* on ({_by(by)}) group_left ({carried})
(
{indent(details, "  ")}
)
or{f" ignoring ({carried})" if carried else ""}
{firing(gauge)}"""


def _by(labels: Iterable[str]) -> str:
    return ", ".join(("job", names.JOB, *labels))


def passed(metric: str) -> str:
    """Return the instants in *metric* that had passed when we last looked.

    Not `time() > ...`: a deadline that passes while the exporter is restarting
    is no miss, and no ping can move it meanwhile. The latest scrape is looked
    for every second: any coarser, and an alert could flap when scrapes stop.

    A scrape is never later than time(): of the jobs that have not passed that, which are
    nearly all of them, nothing is merged or joined.
    """
    family, _, _ = metric.partition("{")
    return f"""max without ({TARGET}) (
  {metric} and on (job, {names.JOB}) ({metric} < time())
  or
  (
    last_over_time({metric}[{MEMORY}])
    unless on (job, instance) {names.BUILD_INFO}
    unless on (job, {names.JOB}) {family}
  )
)
< on (job) group_left ()
max by (job) (
  max_over_time(timestamp({names.BUILD_INFO})[{MEMORY}:1s])
)"""
