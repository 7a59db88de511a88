"""PromQL expressions shared by alerting rules and dashboards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Condition

#: The time for which the last value counts while the exporter is down. It is longer than
#: `for` of ExporterDown and ExporterAbsent, so that these fire before it ends.
MEMORY: Final = "10m"

#: The longest time between two evaluations of the rules, and a scrape.
LATELY: Final = "2m"

#: Labels that change when the exporter moves or is scraped twice. With one of them, an
#: alert would resolve and open again.
TARGET: Final = "instance, pod"

#: A label, an operator and a value.
Matcher = tuple[str, str, str]

_SPECIAL: Final = re.compile(r"[.*+?()|\[\]{}^$\\]")


def selector(*matchers: Matcher) -> str:
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


@dataclass(frozen=True, slots=True)
class Open:
    """Expressions for the series of the jobs that have a condition."""

    #: The family with a series of each job, with or without the condition.
    family: str
    #: The jobs that have the condition.
    now: str
    #: Those that had it at the last scrape, and others; "" if *now* contains them.
    before: str = ""
    #: Those that had it at the last scrape of the last two minutes.
    lately: str = ""
    #: The jobs with a value in the last two minutes, whose older ones do not count; or "".
    newer: str = ""
    #: A label that the family does not have, as ", " and its name; or "".
    extra: str = ""

    def lasting(self, without: str = TARGET) -> str:
        """Return one series for each job that has the condition, or had it when last seen.

        The last value of a job that was retired, or whose severity was edited, does not
        count after a scrape without it. The last value of a replaced exporter does not
        count if another one reports the same job. The order of the operators is the
        fastest if few jobs have the condition.
        """
        if not self.before:
            return f"max without ({without}{self.extra}) ({self.now})"
        return f"""max without ({without}{self.extra}) (
  {self.now}
  or
  (
    {self.before}
    unless on (job, instance) {names.BUILD_INFO}
    unless on (job, {names.JOB}) {self.family}
  )
)"""

    def recorded(self, condition: Condition) -> Open:
        """Return expressions that read what `recording` records."""
        series = names.OPEN + selector((names.CONDITION, "=", condition.value))
        return Open(self.family, series, extra=f", {names.CONDITION}")

    def recording(self, condition: Condition) -> str:
        """Return the expression of a rule that records the jobs with the condition.

        While an exporter does not respond, these are the jobs that had the condition at
        its last scrape, which may be later than the last evaluation; after that, the
        jobs that were recorded before. Reading ten minutes of each of 100,000 jobs
        instead would take longer than everything else in a rule.
        """
        newer = self.newer and f"\n    unless on (job, {names.JOB}) {self.newer}"
        return f"""{self.now}
or
(
  (
    {self.lately}
    and on (job, instance) last_over_time({names.BUILD_INFO}[{LATELY}])
    or
    {self.recorded(condition).now}
    and on (job, instance) last_over_time({names.BUILD_INFO}[{MEMORY}])
    unless on (job, instance) last_over_time({names.BUILD_INFO}[{LATELY}]){newer}
  )
  unless on (job, instance) {names.BUILD_INFO}
  unless on (job, {names.JOB}) {self.family}
)"""


def firing(gauge: str) -> Open:
    """Return expressions for the series of *gauge* that are 1."""
    family, _, _ = gauge.partition("{")
    before, lately = (
        f"last_over_time({gauge}[{time}]) == 1" for time in (MEMORY, LATELY)
    )
    return Open(family, f"{gauge} == 1", before, lately)


def due(instants: str) -> Open:
    """Return expressions for the series of *instants* that have passed for any exporter.

    They are all series of such a job, because the later one of two deadlines counts, also
    when both exporters are silent: one restarts, and a scrape of the other fails. The
    other jobs, nearly all of them, need not be merged or joined, because a scrape is
    never later than time().
    """
    family, _, _ = instants.partition("{")
    lately = f"last_over_time({instants}[{LATELY}])"
    return Open(
        family,
        f"{instants} and on (job, {names.JOB}) ({instants} < time())",
        f"last_over_time({instants}[{MEMORY}])",
        f"{lately} and on (job, {names.JOB}) ({lately} < time())",
        newer=lately,
    )


def detail(
    condition: Condition,
    name: str,
    among: str,
    by: Iterable[str] = (),
    *more: Matcher,
) -> str:
    """Return a value that texts of alerts give, for each job and each of *by*.

    *among* selects the jobs, in braces, and *more* their series.
    """
    return f"max by ({_by(by)}) ({_details(condition, name, among, *more)})"


def alerting_detail(condition: Condition, name: str, among: str) -> str:
    """Return a value that texts of alerts give, with the labels of the alerts."""
    # A value without the labels of the alert would be a separate alert.
    of = _details(condition, name, among, (names.SEVERITY, "!=", ""))
    return f"max without ({TARGET}, {names.CONDITION}, {names.DETAIL}) ({of})"


def _details(condition: Condition, name: str, among: str, *more: Matcher) -> str:
    of = selector(
        (names.CONDITION, "=", condition.value), (names.DETAIL, "=", name), *more
    )
    return names.ALERT_DETAIL + (f"{of[:-1]},{among[1:]}" if among else of)


def labelled(values: str, label: str = names.CARRIED, by: Iterable[str] = ()) -> str:
    """Return *values* as a label of each job and each of *by*."""
    return f'count_values by ({_by(by)}) ("{label}", {values})'


def detailed(
    alerting: Open, value: str, label: str = "", by: Iterable[str] = ()
) -> str:
    """Return the jobs that are *alerting*, with a *value* and a *label* if they are known.

    *value* has the labels of *alerting*; *label*, which is `CARRIED`, belongs to each job
    and each of *by*. The alerts are the same if both are unknown.
    """
    carried = ""
    if label:
        value += f"\n* on ({_by(by)}) group_left ({names.CARRIED})\n{label}"
        carried = f" ignoring ({names.CARRIED})"
    return f"""{value}
and on ({_by(by)}) {alerting.now}
or{carried}
{alerting.lasting()}"""


def _by(labels: Iterable[str]) -> str:
    return ", ".join(("job", names.JOB, *labels))


def passed(instants: Open) -> str:
    """Return the *instants* that had passed at the last scrape.

    Not `time() > ...`: a deadline that passes during a restart of the exporter is no
    miss, because no ping can move it then. The time of the last scrape has a resolution
    of one second; with a lower one, an alert could flap when scrapes stop.
    """
    return f"""{instants.lasting()}
< on (job) group_left ()
max by (job) (
  max_over_time(timestamp({names.BUILD_INFO})[{MEMORY}:1s])
)"""
