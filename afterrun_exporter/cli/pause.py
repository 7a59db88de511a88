"""`afterrun pause`: nothing is expected of a job for a while."""

from __future__ import annotations

import click

from afterrun_exporter.cli import client


@click.command()
@click.argument("job")
@click.option("--for", "lasts", metavar="TIME", help="So long, such as 2h or 3d.")
@click.option("--until", metavar="TIME", help="Until then: 2026-11-23T06:00:00Z.")
@click.option("--resume-on-ping", is_flag=True, help="A report ends the pause, too.")
@client.asks_daemon
def pause(
    job: str,
    lasts: str | None,
    until: str | None,
    resume_on_ping: bool,
    url: str,
    as_json: bool,
) -> None:
    """Expect nothing of JOB, and have its alerts resolved, until `afterrun resume`.

    It may report all the while, and its runs are kept.
    """
    wanted = {"for": lasts, "until": until, "resume_on_ping": resume_on_ping}
    body = {name: value for name, value in wanted.items() if value}
    answer = client.post(url, f"jobs/{client.segment(job)}/pause", body)
    if as_json:
        client.echo_json(answer)
        return
    ends = []
    if (end := answer["paused_until"]) is not None:
        ends.append(f"until {end}")
    if answer["resumes_on_ping"]:
        ends.append("until it reports")
    ends.append(f"until `afterrun resume {job}`")
    click.echo(f"{job} is paused {' or '.join(ends)}")
