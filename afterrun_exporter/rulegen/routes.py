"""Generation of Alertmanager's routing tree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.patterns import compiled
from afterrun_exporter.core.routing import (
    DISCARD,
    Alertmanager,
    Grouping,
    JobReceiver,
    Match,
    Route,
)
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.rulegen.receivers import REMEMBERED
from afterrun_exporter.rulegen.yaml_writer import Constant

#: A node of the routing tree.
Node = dict[str, Any]

_WATCHDOG: Final = Grouping(group_wait=0.0, group_interval=60.0, repeat_interval=300.0)

# Receivers of single jobs get alerts soon, and separately for each job. A short wait
# groups the violations of a run into one message.
_JOB_RECEIVER: Final = Grouping(
    group_by=("alertname", names.JOB), group_wait=1.0, group_interval=60.0
)

# Special characters of RE2.
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def tree(
    jobs: Mapping[str, Job],
    label_keys: Sequence[str],
    alertmanager: Alertmanager,
    receivers: Sequence[JobReceiver],
) -> Node:
    """Return the route for all alerts of AfterRun, with its child routes."""
    grouping = alertmanager.grouping
    if grouping.group_by is None:
        grouping = replace(grouping, group_by=("alertname", *label_keys))
    top = {"receiver": alertmanager.receiver, **_grouping(grouping)}
    below = [*_own(alertmanager), *_configured(jobs, alertmanager.routes)]
    # A match of a route with `continue` counts as a match, so the default receiver needs
    # its own branch. The branch also exists without receivers, because groups are
    # identified by the path to their route: a changed path would repeat notifications.
    rest = {"receiver": alertmanager.receiver, "routes": below}
    job_receivers = chain.from_iterable(map(_job_receiver_nodes, receivers))
    return {**top, "routes": [*job_receivers, rest]}


def matcher(label: str, values: Iterable[str]) -> str:
    """Return a matcher for *label* with any of *values*."""
    distinct = sorted(set(values))
    if len(distinct) == 1:
        return f"{label} = {_quoted(distinct[0])}"
    escaped = (_SPECIAL.sub(r"\\\g<0>", value) for value in distinct)
    return f"{label} =~ {_quoted('|'.join(escaped))}"


def duration(seconds: float) -> str:
    """Return *seconds* as a duration for Alertmanager, without fractions."""
    if seconds.is_integer():
        return format_duration(seconds)
    return f"{max(round(seconds * 1000), 1)}ms"


def _own(alertmanager: Alertmanager) -> Iterator[Node]:
    """Yield the routes of alerts that are not problems."""
    if alertmanager.watchdog != DISCARD:
        yield {
            "matchers": [matcher("alertname", [names.WATCHDOG])],
            "receiver": alertmanager.watchdog,
            **_grouping(_WATCHDOG),
        }
    yield {
        "matchers": [matcher(names.SEVERITY, [names.NO_SEVERITY])],
        "receiver": DISCARD,
    }


def _configured(jobs: Mapping[str, Job], routes: Sequence[Route]) -> Iterator[Node]:
    projects: dict[str, set[str]] = defaultdict(set)
    tags: dict[str, set[str]] = defaultdict(set)
    # Looking through 100,000 jobs takes longer than the rest for 2,000 receivers.
    if any(route.match.projects or route.match.tags for route in routes):
        for name, job in jobs.items():
            projects[job.project].add(name)
            for tag in job.tags:
                tags[tag].add(name)
    for route in routes:
        job_names = _jobs_of(route.match, projects, tags)
        # Alertmanager has no matcher for no job.
        if job_names is None or job_names:
            yield _route(route, list(_matchers(route.match, job_names)))


def _jobs_of(
    match: Match, projects: Mapping[str, set[str]], tags: Mapping[str, set[str]]
) -> set[str] | None:
    """Return the jobs that *match* selects by project or tags, which alerts do not have.

    None if it does not use them.
    """
    sets = [tags.get(tag, set()) for tag in match.tags]
    if match.projects:
        names_of = (projects.get(project, set()) for project in match.projects)
        sets.append(set().union(*names_of))
    return set.intersection(*sets) if sets else None


def _matchers(match: Match, job_names: set[str] | None) -> Iterator[str]:
    if match.conditions:
        yield matcher("alertname", (names.ALERT_OF[c] for c in match.conditions))
    if match.severities:
        yield matcher(names.SEVERITY, match.severities)
    for label, values in match.labels:
        yield matcher(label, values)
    if job_names is not None:
        yield matcher(names.JOB, job_names)
    if match.job:
        # A regular expression, not a list of jobs, so that it also matches jobs that
        # are registered later.
        yield f"{names.JOB} =~ {_quoted(f'.*(?:{match.job}).*')}"
        if compiled(match.job).search(""):
            # A missing label equals an empty one.
            yield f'{names.JOB} != ""'


def _route(route: Route, matchers: list[str]) -> Node:
    node: Node = {"matchers": matchers}
    if len(route.receivers) == 1:
        node["receiver"] = route.receivers[0]
        node |= _times(route)
    else:
        # One set of matchers for all, as it may list ten thousand jobs.
        node["receiver"] = route.receivers[0]
        node["routes"] = [
            {"receiver": receiver, **_times(route), "continue": True}
            for receiver in route.receivers
        ]
        del node["routes"][-1]["continue"]
    node |= _grouping(route.grouping)
    if route.continues:
        node["continue"] = True
    return node


def _times(route: Route) -> Node:
    """Return the time intervals of *route*, which child routes do not inherit."""
    times: Node = {}
    if route.mute:
        times["mute_time_intervals"] = list(route.mute)
    if route.active:
        times["active_time_intervals"] = list(route.active)
    return times


@lru_cache(REMEMBERED)
def _job_receiver_nodes(receiver: JobReceiver) -> tuple[Node, ...]:
    return tuple(map(Constant, _job_receiver(receiver)))


def _job_receiver(receiver: JobReceiver) -> Iterator[Node]:
    alerts = (names.ALERT_OF[condition] for condition in receiver.conditions)
    alternatives = [[matcher("alertname", alerts)]]
    if receiver.timeouts_alone:
        timed_out = matcher(names.TIMED_OUT, [names.TRUE])
        alternatives.append([matcher("alertname", [names.JOB_FAILING]), timed_out])
    ways = [(receiver.name, matchers) for matchers in alternatives]
    if receiver.on_success:
        succeeded = [matcher("alertname", [names.JOB_SUCCEEDED])]
        ways.append((receiver.success_name, succeeded))
    for name, matchers in ways:
        yield {
            "matchers": [matcher(names.JOB, [receiver.job]), *matchers],
            "receiver": name,
            **_grouping(_JOB_RECEIVER),
            "continue": True,
        }


def _grouping(grouping: Grouping) -> Node:
    node: Node = {}
    if grouping.group_by is not None:
        node["group_by"] = list(grouping.group_by)
    for key in ("group_wait", "group_interval", "repeat_interval"):
        seconds = getattr(grouping, key)
        if seconds is not None:
            node[key] = duration(seconds)
    return node


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
