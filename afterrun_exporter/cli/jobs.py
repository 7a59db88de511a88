"""`afterrun jobs`: how every job is doing."""

from __future__ import annotations

from typing import Any

import click

from afterrun_exporter.cli import client
from afterrun_exporter.clock import SystemClock


@click.command()
@click.option("--state", help="Only jobs in this state, such as missed or failing.")
@client.asks_daemon
def jobs(state: str | None, url: str, as_json: bool) -> None:
    """Show every job of a running daemon: its state, last run and deadline."""
    found = _all(url, state)
    if as_json:
        client.echo_json({"jobs": found, "next": None})
        return
    if not found:
        click.echo("no jobs" if state is None else f"no jobs are {state}")
        return
    # Here, because it takes a while and JSON does without.
    from afterrun_exporter.cli import tables  # noqa: PLC0415

    now = SystemClock().now()
    columns = (
        tables.Column("JOB"),
        tables.Column("STATE"),
        tables.Column("LAST RUN"),
        tables.Column("OUTCOME"),
        tables.Column("LAST SUCCESS"),
        tables.Column("DEADLINE"),
        tables.Column("OPEN ALERTS", prose=True),
    )
    tables.show(
        columns,
        (
            (
                job["name"],
                job["state"],
                tables.when(job["last_run"], now),
                job["last_outcome"] or "",
                tables.when(job["last_success"], now),
                tables.when(job["deadline"], now) if job["deadline"] else "",
                ", ".join(map(_alert, job["alerts"])),
            )
            for job in found
        ),
    )


def _all(url: str, state: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = client.get(url, "jobs", state=state, limit=1000, after=after)
        found += page["jobs"]
        if (after := page["next"]) is None:
            return found


def _alert(alert: dict[str, Any]) -> str:
    kind: str = alert["kind"]
    return f"{kind}: {alert['rule']}" if alert["rule"] else kind
