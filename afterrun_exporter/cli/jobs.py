"""`afterrun jobs`: list jobs and their states."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from afterrun_exporter.cli import client, progress, times
from afterrun_exporter.cli.job_filters import filters_jobs
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.status import BROKEN


@click.command()
@click.argument("text", nargs=-1)
@click.option(
    "--state",
    metavar="STATE",
    help="Only jobs in this state, such as broken or missed.",
)
@filters_jobs
@client.asks_daemon
def jobs(
    daemon: client.Daemon,
    as_json: bool,
    text: tuple[str, ...],
    **query: str | tuple[str, ...] | None,
) -> None:
    """Show the jobs of a running daemon: state, last run and deadline.

    A job must match all filters. TEXT is words that its name or description contains.
    """
    query["q"] = " ".join(text) or None
    matches, last_day = every(daemon, **query)
    if as_json:
        client.echo_json({"jobs": matches, "next": None, "last_day": last_day})
        return
    if not matches:
        click.echo("no jobs match" if any(query.values()) else "no jobs")
        return
    # Imported late, because it is slow and not needed for JSON.
    from afterrun_exporter.cli import tables  # noqa: PLC0415

    now = SystemClock().now()
    columns = (
        "JOB",
        "STATE",
        "LAST RUN",
        "OUTCOME",
        "LAST SUCCESS",
        "DEADLINE",
        tables.Column("OPEN ALERTS", prose=True),
    )
    tables.show(
        columns,
        (
            (
                job["name"],
                f"{job['state']}, unobserved" if job["unobserved"] else job["state"],
                times.happened(job["last_run"], now),
                job["last_outcome"] or "",
                times.happened(job["last_success"], now),
                times.when(job["deadline"], now) if job["deadline"] else "",
                ", ".join(map(_alert, job["alerts"])),
            )
            for job in matches
        ),
    )
    counts = Counter(job["state"] for job in matches)
    broken = sum(counts[state] for state in BROKEN)
    if 0 < broken < len(matches):
        states = (f"{counts[state]:,} {state}" for state in BROKEN if counts[state])
        click.echo(
            f"\nBroken: {broken:,} of {len(matches):,} jobs ({', '.join(states)}). "
            "`--state broken` lists them alone."
        )
    if last_day is not None:
        click.echo(f"\nAll jobs: {last_day['text']}")


def every(
    daemon: client.Daemon, **query: object
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return all matching jobs of the daemon, by name, and the figures of the last day."""
    jobs: list[dict[str, Any]] = []
    after = None
    with progress.bar("listing jobs"):
        while True:
            page = daemon.get("jobs", **query, limit=1000, after=after)
            jobs += page["jobs"]
            if (after := page["next"]) is None:
                return jobs, page.get("last_day")


def _alert(alert: dict[str, Any]) -> str:
    kind: str = alert["kind"]
    return f"{kind}: {alert['rule']}" if alert["rule"] else kind
