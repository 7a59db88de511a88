"""`afterrun resume`: resume monitoring of a paused job."""

from __future__ import annotations

import click

from afterrun_exporter.cli import client, times
from afterrun_exporter.cli.completion import complete_jobs


@click.command()
@click.argument("job", shell_complete=complete_jobs)
@client.asks_daemon
def resume(job: str, daemon: client.Daemon, as_json: bool) -> None:
    """Resume monitoring of JOB. Does nothing if it is not paused."""
    answer = daemon.post(f"jobs/{client.segment(job)}/resume", {})
    if as_json:
        client.echo_json(answer)
        return
    due = ""
    if (deadline := answer["deadline"]) is not None:
        due = f", due by {times.local(deadline)}"
    click.echo(f"{job} is monitored again: {answer['state']}{due}")
