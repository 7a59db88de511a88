"""`afterrun resume`: resume monitoring of a paused job."""

from __future__ import annotations

import click

from afterrun_exporter.cli import client


@click.command()
@click.argument("job")
@client.asks_daemon
def resume(job: str, url: str, as_json: bool) -> None:
    """Resume monitoring of JOB. Does nothing if it is not paused."""
    answer = client.post(url, f"jobs/{client.segment(job)}/resume", {})
    if as_json:
        client.echo_json(answer)
        return
    due = f", due by {answer['deadline']}" if answer["deadline"] else ""
    click.echo(f"{job} is monitored again: {answer['state']}{due}")
