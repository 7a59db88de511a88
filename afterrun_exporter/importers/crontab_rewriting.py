r"""Lines of a crontab with `afterrun exec` in front of the command.

Quoting works on the text of the line, before cron replaces ``\%``: cron's replacement
does not depend on the quotes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from afterrun_exporter.importers.crontab import CronJob
from afterrun_exporter.importers.crontab_lines import LONGEST_COMMAND, split_input
from afterrun_exporter.importers.model import Unmapped
from afterrun_exporter.importers.shell_words import (
    PIPES,
    REDIRECTIONS,
    Token,
    UnbalancedError,
    commands,
    tokens,
)

_SH: Final = frozenset({"sh", "dash", "ash"})
#: Shells that have the option pipefail.
_PIPEFAIL: Final = frozenset({"bash", "zsh", "ksh", "ksh93", "mksh"})
_BIN: Final = frozenset({"/bin", "/usr/bin"})

_WORDS: Final = """. : [ [[ ! { } alias bg bind break builtin caller case cd command compgen complete
    continue coproc declare dirs disown do done echo elif else enable esac eval exec exit
    export false fc fg fi for function getopts hash help history if in jobs kill let local
    logout mapfile popd printf pushd pwd read readarray readonly return select set shift
    shopt source suspend test then time times trap true type typeset ulimit umask unalias
    unset until wait while"""
#: Words that the shell does not look up as a program.
_BUILTINS: Final = frozenset(_WORDS.split())
_DECIDING: Final = frozenset({"&&", "||"})
_TESTING: Final = frozenset({"if", "while", "until", "!", "elif", "trap"})
_HIDDEN: Final = "rewritten, but a failure before the last | is not seen: {}"
#: Programs whose failure is an answer.
_CHECKS: Final = frozenset(
    {"[", "[[", "test", "grep", "egrep", "fgrep", "pgrep", "pidof", "mountpoint", "!"}
)
_SKIPPED: Final = (
    "rewritten, but a run counts as failed if the check before && is false: write "
    "CHECK || exit 0; COMMAND"
)
_CONTINUED: Final = (
    "rewritten, but it ends with a backslash, and cron does not join lines: write the "
    "whole command on one line"
)
#: Words of [ -x PROGRAM ].
_INSTALLED: Final = 4
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
#: Syntax that bash reads in another way than other shells do.
_DIFFERS = re.compile(
    r"""\becho\b.*(?:\\|\s-\w*[eE])|\bprintf\b.*\\|&>|\|&|\[\[|==|[<>]\(|<<|\$['"]|=~|:~
    |\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}|\(\(|\$(?:RANDOM|SECONDS|\{?E?UID|HOSTNAME|BASH|OSTYPE)
    |\$[0_-]|\$\{[^}]*[/^@:,!]|\$\[|\*\*|[?*+@!]\(|>&\s*[^\d\s-]|\bread\b
    |\b(?:function|source|let|declare|typeset|local|time|type|command|trap|kill|set|shopt
    |ulimit|export|wait|select|test|pushd|alias|hash)\b""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """The new text of a crontab."""

    text: str
    #: The lines that have changed, by number.
    lines: dict[int, str]
    #: Lines that cannot be rewritten, and those whose failures may not be seen.
    unmapped: tuple[Unmapped, ...]


def rewrite(text: str, jobs: Sequence[CronJob], afterrun: str) -> Rewriting:
    """Return *text*, the crontab of *jobs*, with each command run by *afterrun*.

    Other lines stay as they are, and so do commands that report already.
    """
    lines = text.split("\n")
    changed: dict[int, str] = {}
    unmapped = []
    for job in jobs:
        if job.reported:
            continue
        new, reason = _rewritten(job, afterrun)
        if new:
            lines[job.line.number - 1] = changed[job.line.number] = new
        if reason:
            unmapped.append(Unmapped(job.source, job.line.text.strip(), reason))
    return Rewriting("\n".join(lines), changed, tuple(unmapped))


def _rewritten(job: CronJob, afterrun: str) -> tuple[str, str]:
    """Return the new line, or "", and a reason or a remark, or ""."""
    raw, stdin = split_input(job.line.raw_command)
    shell = PurePosixPath(job.line.variables.get("SHELL", "/bin/sh")).name
    if shell not in _SH | _PIPEFAIL:
        return "", f"not rewritten: SHELL is {shell}, whose syntax is unknown"
    if not raw.strip():
        return "", "not rewritten: there is no command before %"
    if job.line.text.endswith("\r"):
        return "", "not rewritten: the line ends with a carriage return; remove it"
    command, remark = _command(raw, job)
    if job.line.text.endswith("\\"):
        remark = _CONTINUED
    program = shlex.quote(afterrun).replace("%", "\\%")
    whole = f"{program} exec {job.name} -- {command}{stdin}"
    if len(whole.encode()) > LONGEST_COMMAND:
        return "", (
            f"not rewritten: it would be longer than {LONGEST_COMMAND} characters; put "
            "the command into a script"
        )
    return job.line.text[: job.line.command_start] + whole, remark


def _command(raw: str, job: CronJob) -> tuple[str, str]:
    """Return the arguments of `afterrun exec` for the command *raw*, and a remark."""
    text = job.line.command
    variable = job.line.variables.get("SHELL", "")
    shell = PurePosixPath(variable or "sh").name
    try:
        words = tokens(text)
    except UnbalancedError:
        words = [Token("(", is_operator=True)]
    if is_simple(words):
        return raw, ""
    program, option = variable or _in_path("sh", job), ""
    skipped = _SKIPPED if _may_be_skipped(words) else ""
    remark = ""
    if any(one.is_operator and one.value in PIPES for one in words):
        if _depends_on_pipe(words):
            remark = _HIDDEN.format(
                "with pipefail another command would run; put it into a script"
            )
        elif shell in _PIPEFAIL:
            option = "-o pipefail "
        elif _DIFFERS.search(text):
            remark = _HIDDEN.format(
                "bash would read the command in another way; set SHELL=/bin/bash if it "
                "is meant for bash"
            )
        else:
            program, option = _in_path("bash", job), "-o pipefail "
    quoted = "'" + raw.replace("'", "'\\''") + "'"
    remarks = "; ".join(one for one in (remark, skipped) if one)
    return f"{shlex.quote(program)} {option}-c {quoted}", remarks


def _depends_on_pipe(words: Sequence[Token]) -> bool:
    """Return True if the exit status of a pipe decides which command is next."""
    values = [one.value for one in words]
    pipe = next(
        at for at, one in enumerate(words) if one.is_operator and one.value in PIPES
    )
    return not _DECIDING.isdisjoint(values[pipe:]) or not _TESTING.isdisjoint(values)


def _may_be_skipped(words: Sequence[Token]) -> bool:
    """Return True if the last commands only run after a check, such as of the date.

    A check that a program is installed is none: without it, the job does not run.
    """
    start = next(
        (
            at + 1
            for at in range(len(words) - 1, -1, -1)
            if words[at].is_operator and words[at].value in {";", "\n", "&"}
        ),
        0,
    )
    last = [one for one in words[start:] if not (one.is_operator and one.value in "()")]
    operators = [one.value for one in last if one.is_operator]
    deciding = [one for one in operators if one in _DECIDING]
    if not deciding or "||" in deciding:
        return False
    at = next(
        at for at, one in enumerate(last) if one.is_operator and one.value == "&&"
    )
    check = [one.value for one in (commands(last[:at]) or [[]])[-1]]
    is_installed = len(check) <= _INSTALLED and "-x" in check
    return bool(check) and check[0] in _CHECKS and not is_installed


def _in_path(shell: str, job: CronJob) -> str:
    """Return *shell*, with its path if the PATH of *job* does not have it."""
    path = job.line.variables.get("PATH")
    return shell if path is None or _BIN & {*path.split(":")} else f"/bin/{shell}"


def is_simple(words: Sequence[Token]) -> bool:
    """Return True if *words* are one program with arguments and redirections."""
    if any(one.is_operator and one.value not in REDIRECTIONS for one in words):
        return False
    (first, *_), *_ = commands([*words]) or [[Token("")]]
    return (
        bool(first.value)
        and not first.expands
        and first.value not in _BUILTINS
        and not _ASSIGNMENT.match(first.value)
    )
