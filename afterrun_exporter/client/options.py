"""The command-line options of `afterrun exec`, `ping` and `spool`.

They are parsed with argparse, because a job waits for `afterrun exec` to start. Their
help and completion are those of all other commands: `cli/client_commands.py`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from afterrun_exporter.client.arguments import duration
from afterrun_exporter.client.outcomes import EXITS, exit_statuses
from afterrun_exporter.client.urls import DEFAULT_URL

EXEC_NOTES: Final = """\
Examples:
  0 2 * * *  /usr/local/bin/afterrun exec backup --timeout 1h -- /opt/backup.sh --all
  afterrun exec import --retries 3 --metrics-file /tmp/rows.json -- ./import.sh
  afterrun exec report -- bash -o pipefail -c './report.sh | gzip > /srv/report.gz'
  afterrun exec photos --ok-exit 1 -- borg create /backup::{now} /srv/photos

sh -c 'report.sh | gzip' succeeds when gzip does: without pipefail a failure of
report.sh is hidden.

The command's exit status is passed on, even if --ok-exit, --partial-exit or
--skipped-exit gives it another outcome. Other exit statuses: 124 --timeout, 126 not
executable, 127 not found, 128+N killed by signal N, 74 (141 if the reader has gone)
the command exited with 0 but its output was lost. The command runs even if the daemon
is down: the report waits in the spool and is delivered later.
"""

EXIT_HELP: Final = {
    "ok": "Exit statuses that count as success, such as 1,3 or 10-12.",
    "partial": "Exit statuses of a run that did only part of its work.",
    "skipped": "Exit statuses of a run that had nothing to do.",
}

PING_NOTES: Final = """\
Examples:
  afterrun ping backup --metric rows_processed=42 --duration 5s
  ./backup.sh; afterrun ping backup --exit-code $?
  ./backup.sh 2>&1 | tail | afterrun ping backup --status fail --message -

Exit status: 0 recorded, or kept in the spool; 1 refused, or not delivered with
--no-spool; 3 a rule is violated, with --fail-on-violation.
"""

FLUSH_NOTES: Final = """\
Exit status: 0 all reports are delivered; 1 a report was refused or cannot be read, or
the daemon does not accept it. rejected/ has refused reports and malformed files: after
fixing the cause, move a file back into the spool to send it again.
"""

#: Messages of argparse, and of click.
_MESSAGES: Final = (
    (r"unrecognized arguments: (-.*)", r"No such option: \1"),
    (r"unrecognized arguments: (.*)", r"Got unexpected extra arguments (\1)"),
    (r"the following arguments are required: (.*)", r"Missing argument '\1'."),
    (r"argument (-\S+): (.*)", r"Invalid value for '\1': \2"),
)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes look like those of click."""

    def error(self, message: str) -> NoReturn:
        """Print *message* and how to get help, and exit with 2."""
        for theirs, ours in _MESSAGES:
            message = re.sub(rf"\A{theirs}\Z", ours, message, flags=re.DOTALL)
        self.exit(
            2,
            f"Usage: {self.usage}\nTry '{self.prog} --help' for help.\n\n"
            f"Error: {message}\n",
        )


def _exec(environ: Mapping[str, str]) -> Parser:
    parser = _parser(
        "exec",
        "Run a command and report the result.",
        "[OPTIONS] JOB -- COMMAND [ARGUMENT]...",
        EXEC_NOTES,
    )
    _job_argument(parser)
    _daemon_options(parser, environ)
    limits = parser.add_argument_group("The run")
    _seconds(limits, "--timeout", "Time limit: SIGTERM, then SIGKILL.", None)
    _seconds(limits, "--kill-after", "From SIGTERM to SIGKILL.  [default: 10s]", 10.0)
    limits.add_argument(
        "--retries",
        type=_count,
        default=0,
        metavar="N",
        help="Retry up to N times while the command fails (not after --ok-exit, "
        "--partial-exit, --skipped-exit or lost output): at once, then after 1, 2, 4 "
        "minutes, at most 1h.",
    )
    _seconds(limits, "--retry-delay", "Delay of the second retry.  [default: 1m]", 60.0)
    for outcome, text in EXIT_HELP.items():
        limits.add_argument(
            EXITS[outcome],
            dest=f"{outcome}_exit",
            type=_exits,
            action="append",
            default=[],
            metavar="LIST",
            help=text,
        )
    _seconds(limits, "--heartbeat", "Interval of progress reports.", None)
    limits.add_argument(
        "--pass-token",
        action="store_true",
        help="Pass AFTERRUN_TOKEN and the credentials in AFTERRUN_URL to the command, "
        "so that it can report too.",
    )
    group = parser.add_argument_group("The report")
    _run_id_option(group)
    _metric_options(group)
    group.add_argument(
        "--metrics-file",
        metavar="PATH",
        help="File with metrics from the command: a JSON object, or name=value lines.",
    )
    group.add_argument(
        "--tail",
        type=_count,
        default=50,
        metavar="LINES",
        help="Number of last lines of output for the message.  [default: 50]",
    )
    group.add_argument(
        "--no-capture",
        dest="capture",
        action="store_false",
        help="Do not capture stdout and stderr; the report has no message, and no "
        "metrics from lines such as 'afterrun: rows_processed=42'.",
    )
    return parser


def _ping(environ: Mapping[str, str]) -> Parser:
    parser = _parser(
        "ping",
        "Report a run by hand, and print the result.",
        "[OPTIONS] JOB",
        PING_NOTES,
    )
    _job_argument(parser)
    group = parser.add_argument_group("The report")
    group.add_argument(
        "--status",
        help="start, ok, fail, partial, timeout, canceled, skipped, progress or log.  "
        "[default: ok, or fail if --exit-code is not 0]",
    )
    group.add_argument(
        "--exit-code",
        type=int,
        metavar="N",
        help="Exit status of the run; with --status ok the worse of the two counts.",
    )
    _seconds(group, "--duration", "Duration of the run.", None)
    group.add_argument(
        "--message", help="Text to keep with the run; - reads it from stdin."
    )
    _run_id_option(group)
    _metric_options(group)
    _daemon_options(parser, environ)
    parser.add_argument(
        "--no-spool",
        dest="keep",
        action="store_false",
        help="Do not keep reports that cannot be delivered now: exit with 1.",
    )
    parser.add_argument(
        "--fail-on-violation",
        action="store_true",
        help="Exit with 3 if the run violates a rule.",
    )
    return parser


def _flush(environ: Mapping[str, str]) -> Parser:
    parser = _parser(
        "spool flush",
        "Deliver the reports that could not be delivered, the oldest first.",
        "[OPTIONS]",
        FLUSH_NOTES,
    )
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="Also reports that were meant for a daemon at another URL.",
    )
    parser.add_argument("--quiet", action="store_true", help="Print problems only.")
    _daemon_options(parser, environ)
    return parser


def _list(_: Mapping[str, str]) -> Parser:
    text = "List the reports that could not be delivered, with the reason."
    parser = _parser("spool list", text, "[OPTIONS]", "")
    _spool_option(parser)
    return parser


#: Functions that return the parser of each command, by the environment.
PARSERS: Final[dict[str, Callable[[Mapping[str, str]], Parser]]] = {
    "exec": _exec,
    "ping": _ping,
    "spool flush": _flush,
    "spool list": _list,
}


def _parser(name: str, description: str, usage: str, notes: str) -> Parser:
    return Parser(
        prog=f"afterrun {name}",
        usage=f"afterrun {name} {usage}",
        description=description,
        epilog=notes,
        # An abbreviation would break with the next option of the same beginning.
        allow_abbrev=False,
        # `cli/main.py` shows the help.
        add_help=False,
    )


def _job_argument(parser: Parser) -> None:
    parser.add_argument("job", metavar="JOB")


def _daemon_options(parser: Parser, environ: Mapping[str, str]) -> None:
    group = parser.add_argument_group("The daemon")
    group.add_argument(
        "--url",
        default=environ.get("AFTERRUN_URL") or DEFAULT_URL,
        help=f"URL of the daemon.  [env var: AFTERRUN_URL; default: {DEFAULT_URL}]",
    )
    group.add_argument(
        "--token-file",
        metavar="PATH",
        help="File with the token. AFTERRUN_TOKEN has the token itself.",
    )
    _seconds(group, "--patience", "Time limit of a report.  [default: 15s]", 15.0)
    _seconds(
        group, "--request-timeout", "Time limit of a request.  [default: 10s]", 10.0
    )
    _spool_option(group)


def _spool_option(group: Parser | argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--spool",
        metavar="FOLDER",
        help="Folder of undelivered reports.  [env var: AFTERRUN_SPOOL; default: "
        "/var/spool/afterrun for root, else afterrun/spool in XDG_STATE_HOME]",
    )


def _run_id_option(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--run-id", metavar="ID", help="Id of the run.  [default: a random one]"
    )


def _metric_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="A metric of the run; may be repeated.",
    )
    group.add_argument(
        "--metadata",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="A fact to keep with the run; may be repeated.",
    )


def _seconds(
    group: argparse._ArgumentGroup,
    flag: str,
    text: str,
    default: float | None,
) -> None:
    group.add_argument(
        flag, type=_duration, default=default, metavar="DURATION", help=text
    )


def _duration(text: str) -> float:
    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _exits(text: str) -> frozenset[int]:
    try:
        return exit_statuses(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a count; write it like 3")
    return int(text)
