"""The options of `afterrun exec`, `ping` and `spool`, good to read with --help."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

from afterrun_exporter.client.arguments import duration
from afterrun_exporter.client.outcomes import EXITS, exit_statuses
from afterrun_exporter.client.settings import DEFAULT_URL

EXEC_EXAMPLES: Final = """\
examples:
  0 2 * * *  afterrun exec backup --timeout 1h -- /opt/backup.sh --all
  afterrun exec import --retries 3 --metrics-file /tmp/rows.json -- ./import.sh
  afterrun exec report -- bash -o pipefail -c './report.sh | gzip > /srv/report.gz'
  afterrun exec photos --ok-exit 1 -- borg create /backup::{now} /srv/photos

sh -c 'report.sh | gzip' succeeds when gzip does: without pipefail a failure of
report.sh is hidden.

The command's exit status is passed on, also where --ok-exit, --partial-exit or
--skipped-exit gives it another meaning. Further statuses: 124 --timeout, 126 not
executable, 127 not found, 128+N killed by signal N, 74 (141 where the reader has
gone) the command exited with 0 and its output is lost. A daemon that is down never
keeps the command from running: the report waits in the spool and is delivered later.
"""

EXIT_HELP: Final = {
    "ok": "exit statuses that are a success, such as 1,3 or 10-12",
    "partial": "exit statuses of a run that did only a part of its work",
    "skipped": "exit statuses of a run that rightly had nothing to do",
}

PING_EXAMPLES: Final = """\
examples:
  afterrun ping backup --metric rows_processed=42 --duration 5s
  ./backup.sh; afterrun ping backup --exit-code $?
  ./backup.sh 2>&1 | tail | afterrun ping backup --status fail --message -

exit status: 0 recorded, or kept in the spool; 1 refused, or not delivered with
--no-spool; 3 a rule is violated, with --fail-on-violation
"""


SPOOL_STATUSES: Final = """\
exit status of flush: 0 all is delivered; 1 a report was refused or cannot be read, or
the daemon does not take it. rejected/ has what was refused and what is no report: once
the reason is gone, move a file back into the spool to send it again.
"""


def parsers(environ: Mapping[str, str]) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    return {"exec": _exec(environ), "ping": _ping(environ), "spool": _spool(environ)}


def _exec(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _parser(
        "exec",
        "Run a command, and report how it went.",
        "%(prog)s JOB [options] -- COMMAND [ARGUMENT ...]",
        EXEC_EXAMPLES,
    )
    parser.add_argument("job", metavar="JOB", help="the name of the job")
    _where(parser, environ)
    limits = parser.add_argument_group("the run")
    _seconds(limits, "--timeout", "end it after that long: TERM, then KILL", None)
    _seconds(limits, "--kill-after", "from TERM to KILL (default: 10s)", 10.0)
    limits.add_argument(
        "--retries",
        type=_count,
        default=0,
        metavar="N",
        help="try it again up to N times while it fails (not after --ok-exit, "
        "--partial-exit, --skipped-exit or lost output): at once, then after 1, 2, 4 "
        "minutes, at most 1h",
    )
    _seconds(limits, "--retry-delay", "the second of these pauses (default: 1m)", 60.0)
    for outcome, what in EXIT_HELP.items():
        limits.add_argument(
            EXITS[outcome],
            dest=f"{outcome}_exit",
            type=_exits,
            action="append",
            default=[],
            metavar="LIST",
            help=what,
        )
    _seconds(limits, "--heartbeat", "report progress that often while it runs", None)
    limits.add_argument(
        "--pass-token",
        action="store_true",
        help="let the command have AFTERRUN_TOKEN, and the credentials in AFTERRUN_URL, "
        "to report by itself",
    )
    told = parser.add_argument_group("the report")
    _identity(told)
    _reported(told)
    told.add_argument(
        "--metrics-file",
        metavar="PATH",
        help="metrics that the command leaves there: a JSON object, or name=value lines",
    )
    told.add_argument(
        "--tail",
        type=_count,
        default=50,
        metavar="LINES",
        help="how many of the last lines of output become the message (default: 50)",
    )
    told.add_argument(
        "--no-capture",
        dest="capture",
        action="store_false",
        help="leave stdout and stderr to the command as they are; no message, and no "
        "metrics from lines such as 'afterrun: rows_processed=42'",
    )
    return parser


def _ping(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _parser(
        "ping",
        "Report a run by hand, and print the verdict.",
        "%(prog)s JOB [options]",
        PING_EXAMPLES,
    )
    parser.add_argument("job", metavar="JOB", help="the name of the job")
    told = parser.add_argument_group("the report")
    told.add_argument(
        "--status",
        help="start, ok, fail, partial, timeout, canceled, skipped, progress or log "
        "(default: ok, or fail when --exit-code is not 0)",
    )
    told.add_argument(
        "--exit-code",
        type=int,
        metavar="N",
        help="how the run exited; with --status ok the worse of the two counts",
    )
    _seconds(told, "--duration", "how long the run took", None)
    told.add_argument("--message", help="kept with the run; - reads it from stdin")
    _identity(told)
    _reported(told)
    _where(parser, environ)
    parser.add_argument(
        "--no-spool",
        dest="keep",
        action="store_false",
        help="keep nothing that cannot be delivered now: exit with 1",
    )
    parser.add_argument(
        "--fail-on-violation",
        action="store_true",
        help="exit with 3 when the run violates a rule",
    )
    return parser


def _spool(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _parser(
        "spool",
        "Deliver or list the reports that could not be delivered.",
        "%(prog)s {flush,list} [options]",
        SPOOL_STATUSES,
    )
    parser.add_argument(
        "action",
        choices=["flush", "list"],
        help="flush: deliver what waits, the oldest first; list: show it",
    )
    _where(parser, environ)
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="flush also what was meant for a daemon at another URL",
    )
    parser.add_argument("--quiet", action="store_true", help="say what is wrong alone")
    return parser


def _parser(name: str, what: str, usage: str, end: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"afterrun {name}",
        usage=usage,
        description=what,
        epilog=end,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # --time for --timeout would break with the next option that begins so.
        allow_abbrev=False,
    )


def _where(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    group = parser.add_argument_group("the daemon")
    group.add_argument(
        "--url",
        default=environ.get("AFTERRUN_URL") or DEFAULT_URL,
        help=f"where it is (AFTERRUN_URL; default: {DEFAULT_URL})",
    )
    group.add_argument(
        "--token-file",
        metavar="PATH",
        help="a file with the token to send (AFTERRUN_TOKEN: the token itself)",
    )
    _seconds(group, "--patience", "how long a report is tried (default: 15s)", 15.0)
    _seconds(
        group, "--request-timeout", "how long one request may take (default: 10s)", 10.0
    )
    group.add_argument(
        "--spool",
        metavar="FOLDER",
        help="where reports wait that cannot be delivered (AFTERRUN_SPOOL; default: "
        "/var/spool/afterrun for root, else afterrun/spool in XDG_STATE_HOME)",
    )


def _identity(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--run-id", metavar="ID", help="the name of the run (default: one of its own)"
    )


def _reported(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a metric of the run; as often as you like",
    )
    group.add_argument(
        "--metadata",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="kept with the run; as often as you like",
    )


def _seconds(
    group: argparse.ArgumentParser | argparse._ArgumentGroup,
    flag: str,
    what: str,
    default: float | None,
) -> None:
    group.add_argument(
        flag, type=_duration, default=default, metavar="DURATION", help=what
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
