"""`afterrun alerts`: recorded alerts, their statistics, and test alerts."""

from __future__ import annotations

import click

from afterrun_exporter.cli import client, times
from afterrun_exporter.cli.completion import complete_jobs
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.units import format_duration


@click.group()
def alerts() -> None:
    """Show the alerts of a running daemon, or open a test alert."""


@alerts.command("list")
@click.option("--job", help="Only alerts of this job.", shell_complete=complete_jobs)
@click.option("--state", type=click.Choice(["open", "resolved"]))
@click.option("--kind", help="Only alerts of this kind, such as missed or violated.")
@click.option("--severity", help="Only alerts of this severity, such as critical.")
@click.option(
    "--since", help="Only alerts opened since, such as 7d or 2026-11-22T02:00:00Z."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Maximum number of alerts, newest first.",
)
@client.asks_daemon
def list_(daemon: client.Daemon, as_json: bool, **query: str | int | None) -> None:
    """Show alerts, newest first, including resolved ones."""
    answer = daemon.get("alerts", **query)
    if as_json:
        client.echo_json(answer)
        return
    if not answer["alerts"]:
        click.echo("no alerts")
        return
    # Imported late, because it is slow and not needed for JSON.
    from afterrun_exporter.cli import tables  # noqa: PLC0415

    now = SystemClock().now()
    columns = (
        "OPENED",
        "STATE",
        "SEVERITY",
        "JOB",
        "KIND",
        tables.Column("WHY", prose=True),
    )
    rows = []
    for alert in answer["alerts"]:
        lasted = times.between(alert["opened_at"], alert["resolved_at"], now)
        word = "for" if alert["state"] == "open" else "after"
        rows.append(
            (
                times.happened(alert["opened_at"], now),
                f"{alert['state']} {word} {times.age(lasted)}",
                alert["severity"],
                alert["job"],
                alert["kind"],
                alert["summary"],
            )
        )
    tables.show(columns, rows)


@alerts.command()
@click.option(
    "--since",
    help="Only alerts opened since, such as 2026-11-22T02:00:00Z.  [default: 7d]",
)
@client.asks_daemon
def stats(since: str | None, daemon: client.Daemon, as_json: bool) -> None:
    """Count alerts by kind, severity, state and job, and show the time to resolve them."""
    answer = daemon.get("alerts/stats", since=since)
    if as_json:
        client.echo_json(answer)
        return
    # Imported late, because it is slow and not needed for JSON.
    from afterrun_exporter.cli import tables  # noqa: PLC0415

    now = SystemClock().now()
    took = answer["seconds_to_resolve"]
    since = times.when(answer["since"], now)
    click.echo(f"since {since}: {plural(answer['alerts'], 'alert')}")
    click.echo(f"open now: {answer['open_now']}")
    if took["mean"] is not None:
        mean, median = (format_duration(round(took[one])) for one in ("mean", "median"))
        click.echo(f"time to resolve: {median} median, {mean} mean")
    rows = [
        *(("kind", kind, count) for kind, count in answer["by_kind"].items()),
        *(("severity", word, count) for word, count in answer["by_severity"].items()),
        *(("state", state, count) for state, count in answer["by_state"].items()),
        *(("job", one["job"], one["alerts"]) for one in answer["jobs"]),
    ]
    if answer["alerts"]:
        click.echo()
        columns = ("BY", "", tables.Column("ALERTS", right=True))
        tables.show(columns, ((by, word, str(count)) for by, word, count in rows))


@alerts.command("test")
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option("--severity", help="Severity of the alert.  [default: the job's own]")
@click.option("--for", "lasts", help="Duration of the alert, 10s to 1h.  [default: 2m]")
@client.asks_daemon
def test_(
    job: str | None,
    severity: str | None,
    lasts: str | None,
    daemon: client.Daemon,
    as_json: bool,
) -> None:
    """Open a test alert of JOB, which ends by itself.

    Without JOB, the alert belongs to a job created for tests.
    """
    options = {"job": job, "severity": severity, "for": lasts}
    body = {name: value for name, value in options.items() if value is not None}
    answer = daemon.post("alerts/test", body)
    if as_json:
        client.echo_json(answer)
        return
    until = times.local(answer["until"])
    click.echo(
        f"{answer['alertname']} is open for job {answer['job']}, severity "
        f"{answer['severity']}, until {until}: check who is notified"
    )
