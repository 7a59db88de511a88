"""Simulate jobs for a year, and compare their alerts with the expected ones.

python -m tests.simulation [--seed N ...] [--jobs N] [--days N] [--job NAME]
"""

from __future__ import annotations

import argparse
import logging
import sys

import structlog

from tests.simulation.report import job_story, simulate, table
from tests.simulation.stories import Size


def main() -> int:
    """Return 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    add = parser.add_argument
    add("--seed", type=int, nargs="+", default=[1, 2, 3], help="one simulation each")
    add("--jobs", type=int, default=300, help="jobs of one simulation")
    add("--days", type=float, default=365.0, help="days that they live")
    add("--trouble", type=float, default=1.0, help="more or fewer faults")
    add("--processes", type=int, default=None, help="as many as there are cores")
    add("--show", type=int, default=20, help="differences to print")
    add("--job", help="print the events and alerts of a job, with the numbers as above")
    given = parser.parse_args()
    level = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=level)
    size = Size(given.jobs, given.days, given.trouble)
    if given.job:
        for line in job_story(given.job, size):
            print(line)
        return 0
    failed = False
    for seed in given.seed:
        result = simulate(seed, size, given.processes)
        print(
            f"seed {seed}: {result.jobs} jobs, {given.days:g} days, "
            f"{result.reports:,} reports, {result.seconds:.0f} s"
        )
        print(table(result))
        for line in result.lines[: given.show]:
            print(line)
        failed = failed or bool(result.lines)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
