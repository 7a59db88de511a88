"""Queries for the state of a job, and texts for their values."""

from __future__ import annotations

from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen.dashboards.shared import OF_EXPORTER
from afterrun_exporter.rulegen.panels import Text

#: The matcher for the selected job.
OF_JOB: Final = f'{OF_EXPORTER},{names.JOB}="${names.JOB}"'


def of_job(metric: str, selector: str = OF_JOB) -> str:
    """Return the one value of *metric* that the job has."""
    return f"max({metric}{{{selector}}})"


def state() -> str:
    """Return the job's state as a number: the first that applies, as `afterrun_jobs`.

    A violated rule is looked for without its severity: it may have one of its own.
    """
    return "\nor\n".join(
        (
            f"{of_job(names.PAUSED)} == 1",
            f"{of_job(names.STALE)} * 2 > 0",
            f"{of_job(names.FAILING)} * 3 > 0",
            f"{of_job(names.RULE_VIOLATED)} * 4 > 0",
            f"({of_job(names.LAST_RUN)} == 0) + 5",
            f"{of_job(names.PAUSED)}",
        )
    )


STATES: Final = {
    "0": Text("ok", "green"),
    "1": Text("paused", "blue"),
    "2": Text("missed", "red"),
    "3": Text("failing", "red"),
    "4": Text("violated", "orange"),
    "5": Text("new", "blue"),
}

#: In the order of `afterrun_job_last_run_outcome`.
OUTCOMES: Final = {
    "0": Text("ok", "green"),
    "1": Text("fail", "red"),
    "2": Text("violated", "orange"),
    "3": Text("partial", "red"),
    "4": Text("timeout", "red"),
    "5": Text("canceled", "blue"),
    "6": Text("invalid", "red"),
    "7": Text("skipped", "blue"),
}

SWITCH: Final = {"0": Text("no", "green"), "1": Text("yes", "red")}

#: All conditions; those that are not configured have no series.
CONDITIONS: Final = {
    "missed": of_job(names.STALE),
    "failing": of_job(names.FAILING),
    "violated": of_job(names.RULE_VIOLATED),
    "overrunning": f"{of_job(names.RUN_DEADLINE)} < bool time()",
    "overlapping": of_job(names.OVERLAPPING),
    "slow": of_job(names.SLOW),
    "success ratio low": of_job(names.SUCCESS_RATIO_LOW),
    "held back by a job it requires": of_job(names.UPSTREAM_UNHEALTHY),
}
