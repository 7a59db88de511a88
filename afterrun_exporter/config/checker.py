"""A program that checks an afterrun.yml which somebody sent: stdin to JSON on stdout.

A process of its own, because a file can be written so that checking it takes for
ever, or all memory: then the process ends and the daemon does not. It reads no file
that the text names.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from afterrun_exporter.config.loading import Config, parse, warnings
from afterrun_exporter.errors import ConfigError, Problem

#: How long it may take, in seconds of CPU time, and how many bytes of memory.
PATIENCE: Final = 10
MEMORY: Final = 2**30

#: Of problems, and of warnings.
MOST: Final = 1000


def main() -> None:
    """Check what comes on stdin, as of the Unix seconds that are the only argument."""
    # What may not be set (systemd can forbid it) is not: who started us still has
    # patience for so long.
    with suppress(OSError):
        os.nice(10)
    for limit, most in ((resource.RLIMIT_CPU, PATIENCE), (resource.RLIMIT_AS, MEMORY)):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))
    text = sys.stdin.buffer.read().decode("utf-8", "surrogatepass")
    sys.stdout.write(json.dumps(checked(text, float(sys.argv[1]))))


def checked(text: str, now: float) -> dict[str, Any]:
    """Return what is wrong with the file that *text* is, and what it comes to."""
    try:
        config = parse(text, on_disk=False)
    except ConfigError as error:
        return _told(error.problems, (), None)
    return _told((), warnings(text, config, now), config)


def _told(
    problems: Sequence[Problem], odd: Sequence[Problem], config: Config | None
) -> dict[str, Any]:
    unknown: dict[str, int | None] = dict.fromkeys(("jobs", "scheduled", "rules"))
    return {
        "valid": config is not None,
        "problems": _first(problems),
        "warnings": _first(odd),
        **(unknown if config is None else config.counts),
    }


def _first(found: Sequence[Problem]) -> list[dict[str, Any]]:
    shown = list(found[:MOST])
    if more := len(found) - len(shown):
        shown.append(Problem(0, "", f"{more} more are not shown: mend these first"))
    return [
        {"line": one.line, "key": one.path, "message": one.message} for one in shown
    ]


if __name__ == "__main__":
    main()
