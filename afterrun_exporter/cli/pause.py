"""`afterrun pause`: pause monitoring of a job."""

from __future__ import annotations

import click

from afterrun_exporter.cli import client, times
from afterrun_exporter.cli.completion import complete_jobs


@click.command()
@click.argument("job", shell_complete=complete_jobs)
@click.option(
    "--for", "lasts", metavar="TIME", help="Duration of the pause, such as 2h or 3d."
)
@click.option(
    "--until", metavar="TIME", help="End of the pause, such as 2026-11-23T06:00:00Z."
)
@click.option("--resume-on-ping", is_flag=True, help="A report also ends the pause.")
@client.asks_daemon
def pause(
    job: str,
    lasts: str | None,
    until: str | None,
    resume_on_ping: bool,
    daemon: client.Daemon,
    as_json: bool,
) -> None:
    """Pause monitoring of JOB and resolve its alerts, until `afterrun resume`.

    Reports are still accepted and its runs are stored.
    """
    options = {"for": lasts, "until": until, "resume_on_ping": resume_on_ping}
    body = {name: value for name, value in options.items() if value}
    answer = daemon.post(f"jobs/{client.segment(job)}/pause", body)
    if as_json:
        client.echo_json(answer)
        return
    ends = []
    if (end := answer["paused_until"]) is not None:
        ends.append(f"until {times.local(end)}")
    if answer["resumes_on_ping"]:
        ends.append("until it reports")
    ends.append(f"until `afterrun resume {job}`")
    click.echo(f"{job} is paused {' or '.join(ends)}")
