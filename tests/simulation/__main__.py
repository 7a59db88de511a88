"""Simulates jobs for a year, and compares the alerts with those there must be.

python -m tests.simulation [--seed N ...] [--jobs N] [--days N] [--job NAME]
"""

from __future__ import annotations

import argparse
import logging
import sys

import structlog

from tests.simulation.report import job_story, simulate, table
from tests.simulation.stories import Size

SEEDS = (1, 2, 3)


def main() -> int:
    """Return 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated")
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--days", type=float, default=365.0)
    parser.add_argument("--trouble", type=float, default=1.0)
    parser.add_argument("--job", help="tell all that happens to this job")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--show", type=int, default=20, help="differences to print")
    given = parser.parse_args()
    level = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=level)
    size = Size(given.jobs, given.days, given.trouble)
    if given.job:
        for line in job_story(given.job, size):
            print(line)
        return 0
    failed = False
    for seed in given.seed or SEEDS:
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
