"""One condition, one message: which alerts keep which others quiet.

The end of what was kept quiet is not announced either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core import upstream
from afterrun_exporter.core.routing import Alertmanager

#: Alerts of a job that are held back while a job that it requires is unhealthy.
HELD_BACK: Final = tuple(names.ALERT_OF[one.value] for one in upstream.HELD_BACK)

_ANY_JOB: Final = 'alertname =~ "AfterRunJob.*"'


def inhibit_rules(alertmanager: Alertmanager) -> list[dict[str, Any]]:
    """Return the entries of ``inhibit_rules:``."""
    # External labels distinguish Prometheus servers with the same Alertmanager.
    shared = ["job", *(key for key, _ in alertmanager.labels if key != "job")]
    return [
        # The exporter is down, so the states of jobs are outdated.
        _rule(_is(names.EXPORTER_DOWN), _ANY_JOB, shared),
        # An absent exporter has no `job`. None of these alerts has an `instance`, which
        # is only listed because a rule without equal labels looks like a mistake.
        _rule(_is(names.EXPORTER_ABSENT), _ANY_JOB, ["instance", *shared[1:]]),
        # Reports cannot be stored, so "missed" is meaningless.
        _rule(_is(names.STORAGE_FAILING), _jobs("Missed", "Overrunning"), shared),
        # A run that never ends also misses its deadline.
        _rule(
            _is(names.JOB_OVERRUNNING),
            _is(names.JOB_MISSED),
            [*shared, names.JOB],
        ),
        # Two rules on one metric, a strict and a mild one.
        {
            "source_matchers": [f'{names.SEVERITY} = "critical"', _ANY_JOB],
            "target_matchers": [f'{names.SEVERITY} = "warning"', _ANY_JOB],
            "equal": ["alertname", *shared, names.JOB, names.METRIC],
        },
        # The job cannot succeed before the required job does.
        _rule(
            _is(names.JOB_UPSTREAM_UNHEALTHY),
            _jobs(*HELD_BACK),
            [*shared, names.JOB],
        ),
    ]


def _rule(source: str, target: str, equal: list[str]) -> dict[str, Any]:
    return {
        "source_matchers": [source],
        "target_matchers": [target],
        # A copy, to avoid YAML aliases.
        "equal": list(equal),
    }


def _is(alert: str) -> str:
    return f'alertname = "{alert}"'


def _jobs(*alerts: str) -> str:
    return f'alertname =~ "{any_job_alert(alerts)}"'


def any_job_alert(alerts: Iterable[str]) -> str:
    """Return the regular expression for any of *alerts* of jobs."""
    prefix = "AfterRunJob"
    return f"{prefix}({'|'.join(alert.removeprefix(prefix) for alert in alerts)})"
