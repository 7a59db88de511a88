"""`afterrun resume`: a job that was paused is watched again."""

from __future__ import annotations

import click

from afterrun_exporter.cli import client


@click.command()
@click.argument("job")
@client.asks_daemon
def resume(job: str, url: str, as_json: bool) -> None:
    """Watch JOB again that was paused. Nothing happens to one that is not."""
    answer = client.post(url, f"jobs/{client.segment(job)}/resume", {})
    if as_json:
        client.echo_json(answer)
        return
    if answer["state"] == "paused":
        click.echo(f"{job} stays as it is: afterrun.yml has it disabled")
        return
    due = f", due by {answer['deadline']}" if answer["deadline"] else ""
    click.echo(f"{job} is watched again: {answer['state']}{due}")
