"""Examples of reports for a job, with its own name, metrics and schedule."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Final, NamedTuple

from afterrun_exporter.core.metric_names import PLAIN
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import CONTAINS, DURATION, Bound, Rule
from afterrun_exporter.core.schedule import Cron
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
    line = (
        f'{_when(job)}  /opt/{job.name}.sh; {_CURL} {ping} -d "{report}}}" >/dev/null'
    )
    return f"{_zone_note(job)}{line}"


def _exec(job: Job, url: str, metrics: Mapping[str, float]) -> str:
    timeout = (
        f" --timeout {format_duration(job.max_runtime)}" if job.max_runtime else ""
    )
    lines = [
        f"AFTERRUN_URL={url}",
        f"{_when(job)}  {_AFTERRUN} exec {job.name}{timeout} -- /opt/{job.name}.sh",
    ]
    if names := _simple(metrics):
        pairs = " ".join(f"{name}={_text(metrics[name])}" for name in names)
        lines += ["", "# in the job, print a line with its metrics:"]
        lines.append(f"echo {quote(f'afterrun: {pairs}')}")
    return _zone_note(job) + "\n".join(lines)


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


def _when(job: Job) -> str:
    return job.schedule.expression if isinstance(job.schedule, Cron) else "0 * * * *"


def _zone_note(job: Job) -> str:
    if isinstance(job.schedule, Cron):
        return f"# on a host in time zone {job.schedule.zone}\n"
    return ""


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
