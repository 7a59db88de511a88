"""The PromQL that alerting rules and dashboards share: how a gauge of ours is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import indent
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


@dataclass(frozen=True, slots=True)
class Details:
    """What the text of an alert gives: a value, and others that become labels."""

    #: Of the job: "condition" and what else selects the details.
    condition: str
    #: The one that is the alert's value.
    value: str
    #: The name of each other one, and of the label that it becomes.
    labels: tuple[tuple[str, str], ...] = ()
    #: Labels by which several alerts of one job and condition differ.
    by: tuple[str, ...] = ()
    #: A label that comes along with the others, of which each may have another.
    along: tuple[str, ...] = ()

    @property
    def carried(self) -> tuple[str, ...]:
        """The labels that the alert must not keep: they change while it lasts."""
        return (*self.along, *(label for _, label in self.labels))


def detailed(gauge: str, details: Details) -> str:
    """Return what `firing` does, with *details* as values and labels where known.

    The alerts are the same without them: they are told even if nothing else is known.
    """
    carried = ", ".join(details.carried)
    return f"""max without ({TARGET}) ({gauge} == 1)
* on ({_on(details)}) group_left ({carried})
(
{indent(_details(gauge, details), "  ")}
)
or{f" ignoring ({carried})" if carried else ""}
{firing(gauge)}"""


def _details(gauge: str, details: Details) -> str:
    on = _on(details)
    text = f"max by ({on}) ({_detail(gauge, details, details.value)})"
    for name, label in details.labels:
        carried = ", ".join((*details.along, label))
        by = ", ".join((on, *details.along))
        found = _detail(gauge, details, name)
        values = f'count_values by ({by}) ("{label}", max by ({by}) ({found}))'
        if details.along:
            # Two exporters that disagree: a join takes one of them only.
            values = f"topk by ({on}) (1, {values})"
        text += f"\n* on ({on}) group_left ({carried})\n{values}"
    return text


def _detail(gauge: str, details: Details, name: str) -> str:
    _, _, among = gauge.partition("{")
    found = selector(
        (names.CONDITION, "=", details.condition), (names.DETAIL, "=", name)
    )
    return names.ALERT_DETAIL + (f"{found[:-1]},{among}" if among else found)


def _on(details: Details) -> str:
    return ", ".join(("job", names.JOB, *details.by))


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
