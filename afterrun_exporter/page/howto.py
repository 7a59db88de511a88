"""Examples of reports for a job, with its own name, metrics and schedule."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Final, NamedTuple

from afterrun_exporter.core import crontab
from afterrun_exporter.core.metric_names import PLAIN
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import CONTAINS, DURATION, Bound, Rule
from afterrun_exporter.core.schedule import Calendar
from afterrun_exporter.core.schedules.slots import Syntax
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.text_fields import MESSAGE
from afterrun_exporter.core.units import format_duration

#: The maximum number of metrics in an example.
MOST: Final = 6

#: Where it is installed by README; cron would not find it in its PATH.
_AFTERRUN: Final = "/usr/local/bin/afterrun"
_CURL: Final = "curl -fsS -m 10 --retry 5 --retry-connrefused"


class Example(NamedTuple):
    """An example of a report."""

    title: str
    note: str
    code: str


def examples(job: Job, state: JobState, url: str) -> list[Example]:
    """Return examples of reporting runs of *job* to the daemon at *url*."""
    metrics = _metrics(job, state)
    ping = quote(f"{url}/ping/{job.name}")
    return [
        Example(
            "curl",
            "After a run, with its metrics.",
            _curl(ping, metrics, _texts(job)),
        ),
        Example(
            "crontab",
            "Reports the exit status. A % is special in crontab.",
            _crontab(job, ping, metrics),
        ),
        Example(
            "afterrun exec",
            "Reports start, end, duration, exit status and the last lines of output; "
            "stores reports on disk while the daemon is unreachable.",
            _exec(job, url, metrics),
        ),
        Example(
            "Python",
            "Needs only the standard library and afterrun-exporter.",
            _python(job, url, metrics),
        ),
    ]


def _curl(ping: str, metrics: Mapping[str, float], texts: Mapping[str, object]) -> str:
    report: dict[str, object] = {"status": "ok"}
    if metrics:
        report["metrics"] = metrics
    report |= texts
    return f"{_CURL} {ping} \\\n  -d {quote(json.dumps(report))}"


def _crontab(job: Job, ping: str, metrics: Mapping[str, float]) -> str:
    # The shell expands from left to right, so $? is still the exit status of the job.
    report = '{\\"exit_code\\": $?'
    if names := _simple(metrics):
        pairs = ", ".join(f'\\"{name}\\": $(cat /tmp/{name})' for name in names)
        report += f', \\"metrics\\": {{{pairs}}}'
    command = f'/opt/{job.name}.sh; {_CURL} {ping} -d "{report}}}" >/dev/null'
    return f"{_note(job)}{_lines(job, command)}"


def _exec(job: Job, url: str, metrics: Mapping[str, float]) -> str:
    timeout = (
        f" --timeout {format_duration(job.max_runtime)}" if job.max_runtime else ""
    )
    lines = [
        f"AFTERRUN_URL={url}",
        _lines(job, f"{_AFTERRUN} exec {job.name}{timeout} -- /opt/{job.name}.sh"),
    ]
    if names := _simple(metrics):
        pairs = " ".join(f"{name}={_text(metrics[name])}" for name in names)
        lines += ["", "# in the job, print a line with its metrics:"]
        lines.append(f"echo {quote(f'afterrun: {pairs}')}")
    return _note(job) + "\n".join(lines)


def _python(job: Job, url: str, metrics: Mapping[str, float]) -> str:
    body = [
        f"    r.metric({json.dumps(name)}, {_text(value)})"
        for name, value in metrics.items()
    ]
    return "\n".join(
        [
            "from afterrun_exporter.client import run",
            "",
            f"with run({json.dumps(job.name)}, url={json.dumps(url)}) as r:",
            "    ...  # the work itself",
            *body,
        ]
    )


def _lines(job: Job, command: str) -> str:
    """Return the lines of a crontab that run *command*."""
    schedule = job.schedule
    times: Iterable[str] = ["0 * * * *"]
    if isinstance(schedule, Calendar) and schedule.syntax is Syntax.CRON:
        times = schedule.expressions
    return "\n".join(f"{time}  {command}" for time in times)


def _note(job: Job) -> str:
    """Return comments about the times of a crontab."""
    schedule = job.schedule
    if not isinstance(schedule, Calendar):
        return ""
    zone = f"# on a host in time zone {schedule.zone}\n"
    if schedule.syntax is Syntax.ONCALENDAR:
        timer = "".join(f"#   OnCalendar={one}\n" for one in schedule.expressions)
        return f"{zone}# cron has no such times; a systemd timer has them:\n{timer}"
    if any(crontab.specials(one.split()) for one in schedule.expressions):
        return f"{zone}# Debian's cron has no # and L: use a scheduler that has them\n"
    return zone


def _metrics(job: Job, state: JobState) -> dict[str, float]:
    """Return metrics for a report: those that rules need, then those that it has sent."""
    required = {
        rule.metric: rule
        for rule in job.rules
        if rule.assertion is None and rule.metric != DURATION
    }
    reported = _simple(state.metrics)
    names = list(dict.fromkeys([*required, *reported]))[:MOST]
    return {name: _whole(_example(name, required.get(name), state)) for name in names}


def _simple(names: Iterable[str]) -> list[str]:
    """Return the *names* that are safe in any shell."""
    # Metric names may contain any character.
    return [name for name in names if PLAIN.fullmatch(name)]


def _texts(job: Job) -> dict[str, object]:
    """Return a message and metadata that satisfy rules on text."""
    required = {
        rule.metric: rule.assertion.text
        for rule in job.rules
        if rule.assertion is not None and rule.assertion.op in {"==", CONTAINS}
    }
    message = required.pop(MESSAGE, None)
    fields = {name.removeprefix("metadata."): text for name, text in required.items()}
    report: dict[str, object] = {}
    if message is not None:
        report["message"] = message
    if fields:
        report["metadata"] = fields
    return report


def _example(name: str, rule: Rule | None, state: JobState) -> float:
    """Return an unsuspicious value: that of the last ok run, or one that rules allow."""
    if (before := state.previous.get(name)) is not None:
        return before
    if rule is None:
        return state.metrics.get(name, 1.0)
    return _allowed(rule.bounds[0])


def _allowed(bound: Bound) -> float:
    if bound.of_previous:
        return 1.0
    step = max(1.0, abs(bound.value))
    return {
        ">": bound.value + step,
        "<": bound.value - step if bound.value <= 0 else bound.value / 2,
        "!=": bound.value + step,
    }.get(bound.op, bound.value)


def _whole(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _text(value: float) -> str:
    return json.dumps(value)
