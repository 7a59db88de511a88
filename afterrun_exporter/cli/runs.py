"""`afterrun runs`: list the last runs of a job, or of all jobs."""

from __future__ import annotations

from typing import Any

import click

from afterrun_exporter.cli import client, times
from afterrun_exporter.cli.completion import complete_jobs
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.commits import short_commit
from afterrun_exporter.core.text_fields import last_words
from afterrun_exporter.core.units import format_duration, format_number


@click.command()
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option(
    "--outcome",
    metavar="OUTCOME",
    multiple=True,
    help="Only runs with this outcome, such as timeout; may be repeated.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Maximum number of runs, newest first.",
)
@client.asks_daemon
def runs(
    job: str | None,
    outcome: tuple[str, ...],
    limit: int,
    daemon: client.Daemon,
    as_json: bool,
) -> None:
    """List the last runs of JOB, or of all jobs, with their outcomes and metrics."""
    path = "runs" if job is None else f"jobs/{client.segment(job)}/runs"
    answer = daemon.get(path, outcome=outcome or None, limit=limit)
    # A page with long metadata has fewer runs.
    while answer["next"] is not None and (rest := limit - len(answer["runs"])) > 0:
        before = answer["next"]
        page = daemon.get(path, outcome=outcome or None, limit=rest, before=before)
        answer = {**page, "runs": [*answer["runs"], *page["runs"]]}
    if as_json:
        client.echo_json(answer)
        return
    now = SystemClock().now()
    is_open = job is not None and not outcome and _show_open(daemon, job, now)
    if not answer["runs"]:
        none = "no runs in 7 days" if job is None else f"{job} has not run yet"
        if is_open:
            none = "no run has ended yet"
        click.echo("no runs match" if outcome else none)
        return
    # Imported late, because it is slow and not needed for JSON.
    from afterrun_exporter.cli import tables  # noqa: PLC0415

    has_hosts = any(map(_host, answer["runs"]))
    has_commits = any(run["config_commit"] for run in answer["runs"])
    columns = (
        *(() if job else ("JOB",)),
        "RUN",
        "FINISHED",
        "OUTCOME",
        tables.Column("DURATION", right=True),
        "RUN ID",
        *(("HOST",) if has_hosts else ()),
        *(("CONFIG",) if has_commits else ()),
        tables.Column("METRICS", prose=True),
        tables.Column("REMARK", prose=True),
    )
    tables.show(
        columns,
        (
            (
                *(() if job else (run["job"],)),
                f"#{run['number']}",
                times.happened(run["finished_at"], now),
                "retrying" if run["retrying"] else run["outcome"],
                "" if run["duration"] is None else format_duration(run["duration"]),
                _name(run),
                *((_host(run),) if has_hosts else ()),
                *((short_commit(run["config_commit"]),) if has_commits else ()),
                _metrics(run["metrics"]),
                _remark(run),
            )
            for run in answer["runs"]
        ),
    )


def _show_open(daemon: client.Daemon, job: str, now: float) -> bool:
    """Print a line for each open run of *job*; return True if there is one."""
    open_runs = daemon.get(f"jobs/{client.segment(job)}")["open_runs"]
    for run in open_runs:
        name = f", run {run['run_id']}" if run["run_id"] else ""
        where = f" on {host}" if (host := _host(run)) else ""
        limit = ""
        if due := run["deadline"]:
            late = times.between(due, None, now) > 0
            verb = "should have finished" if late else "must finish"
            limit = f", {verb} by {times.when(due, now)}"
        start = times.happened(run["started_at"], now)
        # An id may contain anything.
        click.echo(f"running since {start}{last_words(name)}{where}{limit}")
    return bool(open_runs)


def _host(run: dict[str, Any]) -> str:
    metadata = run["metadata"]
    host = metadata.get("host") or metadata.get("hostname")
    return last_words(host) if isinstance(host, str) else ""


def _name(run: dict[str, Any]) -> str:
    attempt = f" (attempt {run['attempt']})" if run["attempt"] > 1 else ""
    if run["max_attempts"] is not None and run["max_attempts"] > 1:
        attempt = f" (attempt {run['attempt']} of {run['max_attempts']})"
    return f"{run['run_id'] or ''}{attempt}".strip()


def _metrics(metrics: dict[str, float]) -> str:
    return " ".join(f"{name}={format_number(value)}" for name, value in metrics.items())


def _remark(run: dict[str, Any]) -> str:
    broken = [f"broke {violation['rule']}" for violation in run["violations"]]
    if run["retrying"]:
        broken = [f"attempt ended with {run['outcome']}"]
    code = [f"exit code {run['exit_code']}"] if run["exit_code"] else []
    message = last_words(run["message"])
    return "; ".join([*broken, *code, *([message] if message else [])])
