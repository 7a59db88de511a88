"""What Debian's cron makes of a crontab, and with what it runs a command."""

from __future__ import annotations

import re
from typing import NamedTuple


class Entry(NamedTuple):
    """A command of a crontab."""

    #: The first line for the shell.
    command: str
    #: The lines after the first %, for its standard input.
    stdin: str
    environ: dict[str, str]


def entry(text: str, home: str) -> Entry:
    """Return the one command in *text*, a crontab of a user; see crontab(5)."""
    environ = {
        "SHELL": "/bin/sh",
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "LOGNAME": "root",
    }
    for line in text.splitlines():
        if match := re.fullmatch(r"\s*(\w+)\s*=\s*(.*?)\s*", line):
            environ[match[1]] = match[2].strip("'\"")
            continue
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = re.fullmatch(r"\s*(?:@\w+|(?:\S+\s+){4}\S+)\s+(.*)", line)
        assert fields is not None, f"not a line of a crontab: {line}"
        # An unescaped % ends the command; further ones are line breaks of its input.
        first, *rest = re.split(r"(?<!\\)%", fields[1])
        stdin = "\n".join(rest) + "\n" if rest else ""
        return Entry(first.replace("\\%", "%"), stdin.replace("\\%", "%"), environ)
    raise AssertionError(f"no command in {text!r}")
