"""A storm of full size: `make storm`.

    python -m tests.e2e.storm [--jobs N] [--failing N] [--way rules|push|both]
                              [--shards N] [--queue N] [--group-wait SECONDS]
                              [--watch SECONDS] [--slower N]

Intervals are those of the shipped files; on a machine on which an evaluation takes
longer than they allow, N times those. It prints what it measures, and exits 1 if
a job was not told, told twice, or told as resolved while failing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from tests.e2e.processes import Process

from .fleet import Fleet
from .storm import REAL, WAYS, WITHIN, Plan, Storm

#: Seconds until what does not come is given up.
PATIENCE = 600.0


def main() -> int:
    """Let a storm happen, and print what was told."""
    arguments = _arguments()
    fleet = Fleet(arguments.jobs, arguments.failing)
    pace = replace(
        REAL,
        interval=REAL.interval * arguments.slower,
        group_wait=arguments.group_wait * arguments.slower,
    )
    plan = Plan(fleet, arguments.way, arguments.shards, pace, arguments.queue)
    click.echo(
        f"{fleet.failing} of {fleet.size} jobs fail, {len(fleet.roots)} of them are to "
        f"blame; way {plan.way}, {plan.shards} shard(s)"
    )
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:

        def launch(process: Process) -> None:
            stack.callback(process.stop)
            process.start()

        storm = Storm(Path(home), plan, launch)
        with _timed("all jobs registered, scraped and evaluated after"):
            storm.begin()
        _say("evaluation, nothing firing", _evaluation(storm))
        with _timed("reports of the storm acknowledged after"):
            storm.strike()
        with _timed("all roots told, or given up, after"):
            found = storm.wait(PATIENCE, quiet=0)
        _say("told", f"{len(found.told)} jobs in {found.messages} messages")
        _say("the last one after the first evaluation", f"{found.last:.1f} s")
        _say("evaluation, all firing", _evaluation(storm))
        found = storm.wait(0, arguments.watch)
        _say("evaluation, later", _evaluation(storm))
        if plan.has_rules:
            dropped = sum(storm.metric("prometheus_notifications_dropped_total"))
            missed = sum(storm.metric("prometheus_rule_group_iterations_missed_total"))
            _say("alerts that Prometheus dropped", f"{dropped:.0f}")
            _say("evaluations that it skipped", f"{missed:.0f}")
        for name, process in (
            ("AfterRun", storm.daemon),
            ("Prometheus", storm.prometheus),
            ("Alertmanager", storm.alertmanager),
        ):
            if name != "Prometheus" or plan.has_rules:
                spent = f"{_cpu(process):,.0f} s, {_memory(process):,} MiB"
                _say(f"CPU and memory of {name}", spent)
        _say("load", " ".join(f"{load:.1f}" for load in os.getloadavg()))
        _say(f"told in {found.messages} messages, and also", ", ".join(found.others))
        problems = found.problems(fleet, WITHIN * arguments.slower)
    for problem in problems or ("each job to blame was told once, and no other one",):
        click.echo(problem)
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.storm")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--failing", type=int, default=20_000)
    parser.add_argument("--way", choices=WAYS, default=WAYS[0])
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--queue", type=int, help="by default twice the jobs")
    parser.add_argument("--group-wait", type=int, default=REAL.group_wait)
    parser.add_argument("--slower", type=int, default=1, metavar="N")
    # Dropped alerts resolve after 4 minutes, a group comes again after 5.
    parser.add_argument("--watch", type=float, default=330.0, metavar="SECONDS")
    return parser.parse_args()


@contextmanager
def _timed(what: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    _say(what, f"{time.monotonic() - begin:.1f} s")


def _evaluation(storm: Storm) -> str:
    """Return how long all rule groups took when they were last evaluated."""
    if not storm.plan.has_rules:
        return "no rules"
    seconds = storm.metric("prometheus_rule_group_last_duration_seconds")
    return f"{sum(seconds):.1f} s"


def _cpu(process: Process) -> float:
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _memory(process: Process) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return 0


def _say(what: str, value: str) -> None:
    click.echo(f"{what}: {value}")


if __name__ == "__main__":
    sys.exit(main())
