"""The lines of a crontab, as Debian's cron(8) reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.core.crontab import NICKNAMES
from afterrun_exporter.core.plurals import plural

#: The maximum length of a command in Debian's cron.
LONGEST_COMMAND: Final = 998
REBOOT: Final = "@reboot"

_FIELDS: Final = 5
_BLANK: Final = " \t"
_WORD = re.compile(r"[^ \t]+")


@dataclass(frozen=True, slots=True)
class CronLine:
    """A line with a job."""

    #: Counted from 1.
    number: int
    #: The line as written, without its line break.
    text: str
    #: Five fields, separated by single spaces, or a nickname.
    schedule: str
    #: The user; "" in a crontab without that column.
    user: str
    #: The position of the command in the text.
    command_start: int
    #: Variables that are set above the line.
    variables: Mapping[str, str]
    #: The comment right above the line.
    comment: tuple[str, ...]

    @property
    def raw_command(self) -> str:
        """The command as written, with what it reads from stdin."""
        return self.text[self.command_start :]

    @property
    def command(self) -> str:
        """The text that the shell executes."""
        return unescaped(split_input(self.raw_command)[0])


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cron refuses, with the reason."""

    number: int
    text: str
    reason: str


def split_input(raw: str) -> tuple[str, str]:
    """Return the command in *raw*, and the rest from the first bare ``%`` on."""
    is_escaped = False
    for position, character in enumerate(raw):
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif character == "%":
            return raw[:position], raw[position:]
    return raw, ""


def unescaped(raw: str) -> str:
    r"""Return the command *raw* with ``%`` for ``\%``."""
    return re.sub(r"\\(.)", lambda m: "%" if m[1] == "%" else m[0], raw)


def parse_lines(text: str, *, has_users: bool) -> Iterator[CronLine | BadLine]:
    """Yield each line of a crontab that is a job, or that cannot be read."""
    variables: dict[str, str] = {}
    comment: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(" \t\r")
        if stripped.startswith("#"):
            _extend(comment, stripped, has_users=has_users)
            continue
        if stripped and (pair := assignment(line.lstrip(_BLANK))):
            variables = {**variables, pair[0]: pair[1]}
        elif stripped:
            yield _job(number, line, variables, tuple(comment), has_users=has_users)
        comment.clear()


def _job(
    number: int,
    line: str,
    variables: Mapping[str, str],
    comment: tuple[str, ...],
    *,
    has_users: bool,
) -> CronLine | BadLine:
    start = len(line) - len(line.lstrip(_BLANK))
    is_nickname = line.startswith("@", start)
    count = (1 if is_nickname else _FIELDS) + has_users
    words: list[str] = []
    position = start
    for match in _WORD.finditer(line, start):
        if len(words) == count:
            position = match.start()
            break
        words.append(match[0])
    else:
        reason = f"has no command after {plural(count, 'field')}"
        if len(words) < count:
            columns = " and a user" if has_users else ""
            reason = f"is neither NAME=VALUE nor a schedule{columns} with a command"
        return BadLine(number, line, reason)
    fields = words[: len(words) - has_users]
    schedule = " ".join(fields)
    if is_nickname and schedule not in {*NICKNAMES, REBOOT}:
        names = ", ".join([*NICKNAMES, REBOOT])
        return BadLine(number, line, f"unknown schedule {schedule!r}; use {names}")
    user = words[-1] if has_users else ""
    return CronLine(number, line, schedule, user, position, variables, comment)


def assignment(line: str) -> tuple[str, str] | None:
    """Return the name and the value if *line* sets a variable, else None."""
    match = re.match(r"""("[^"=]*"|'[^'=]*'|[^"'\s=][^\s=]*)?\s*=\s*""", line)
    if match is None or not match.end():
        return None
    name, rest = (match[1] or "").strip("\"'"), line[match.end() :]
    if rest[:1] in {'"', "'"}:
        value, quote, after = rest[1:].partition(rest[0])
        # Without the second quote, or with more after it, it is no assignment.
        return (name, value) if quote and not after.strip() else None
    return (name, rest.rstrip()) if rest.strip() else None


def _extend(comment: list[str], line: str, *, has_users: bool) -> None:
    """Add a comment *line* to a description; a heading or a disabled job ends it."""
    text = line.lstrip("#").strip()
    if is_disabled(text, has_users=has_users) or _HEADING.match(text):
        comment.clear()
    elif text.strip("-=*_~+ \t"):
        comment.append(text)


#: The line above the first job in the files of a distribution.
_HEADING = re.compile(r"m(?:in(?:ute)?)?\s+h(?:our)?\s+d|\|  ?\|", re.IGNORECASE)
_FIELD = re.compile(r"[\d*][\d*/,\-]*|[a-z]{3}(?:[-,][a-z]{3})*", re.IGNORECASE)


def is_disabled(text: str, *, has_users: bool) -> bool:
    """Return True if *text*, from a comment, is a job or an assignment."""
    if text.startswith(("@reboot ", *(f"{name} " for name in NICKNAMES))):
        return True
    words = text.split()
    fields = words[:_FIELDS]
    if len(words) > _FIELDS + has_users and all(map(_FIELD.fullmatch, fields)):
        return True
    return re.match(r"[A-Z][A-Z_]+ ?= ?\S", text) is not None
