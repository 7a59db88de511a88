"""A program that checks an afterrun.yml from stdin and prints the result as JSON.

It runs as a separate process, because a malicious file can make the check take too
long or use all memory: then only this process is killed. It does not read files that
the text refers to.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from afterrun_exporter.config.building import Config
from afterrun_exporter.config.loading import parse, warnings
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.errors import ConfigError, Problem

#: Limits: seconds of CPU time, and bytes of memory.
PATIENCE: Final = 10
MEMORY: Final = 2**30

#: The maximum number of problems, and of warnings.
MOST: Final = 1000


def main() -> None:
    """Check stdin; the only argument is the current Unix time."""
    # Limits that cannot be set (systemd can forbid it) are skipped: the parent process
    # has a timeout, too.
    with suppress(OSError):
        os.nice(10)
    for limit, most in ((resource.RLIMIT_CPU, PATIENCE), (resource.RLIMIT_AS, MEMORY)):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))
    text = sys.stdin.buffer.read().decode("utf-8", "surrogatepass")
    sys.stdout.write(json.dumps(check(text, float(sys.argv[1]))))


def check(text: str, now: float) -> dict[str, Any]:
    """Return the problems, the warnings and the counts of the file *text*."""
    try:
        config = parse(text, on_disk=False)
    except ConfigError as error:
        return _result(error.problems, (), None)
    return _result((), warnings(text, config, now), config)


def _result(
    problems: Sequence[Problem], odd: Sequence[Problem], config: Config | None
) -> dict[str, Any]:
    unknown: dict[str, int | None] = dict.fromkeys(("jobs", "scheduled", "rules"))
    return {
        "valid": config is not None,
        "problems": _first(problems),
        "warnings": _first(odd),
        **(unknown if config is None else config.counts),
    }


def _first(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    first = list(problems[:MOST])
    if more := len(problems) - len(first):
        first.append(
            Problem(
                0,
                "",
                f"{plural(more, 'more is', 'more are')} not shown: fix these first",
            )
        )
    return [
        {"line": one.line, "key": one.path, "message": one.message} for one in first
    ]


if __name__ == "__main__":
    main()
