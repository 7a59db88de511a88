"""The command-line options of `afterrun exec`, `ping` and `spool`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

from afterrun_exporter.client.arguments import duration
from afterrun_exporter.client.outcomes import EXITS, exit_statuses
from afterrun_exporter.client.urls import DEFAULT_URL

EXEC_EXAMPLES: Final = """\
examples:
  0 2 * * *  afterrun exec backup --timeout 1h -- /opt/backup.sh --all
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
    "ok": "exit statuses that count as success, such as 1,3 or 10-12",
    "partial": "exit statuses of a run that did only part of its work",
    "skipped": "exit statuses of a run that had nothing to do",
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
exit status of flush: 0 all reports are delivered; 1 a report was refused or cannot be
read, or the daemon does not accept it. rejected/ has refused reports and malformed
files: after fixing the cause, move a file back into the spool to send it again.
"""


def parsers(environ: Mapping[str, str]) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    return {"exec": _exec(environ), "ping": _ping(environ), "spool": _spool(environ)}


def _exec(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _parser(
        "exec",
        "Run a command and report the result.",
        "%(prog)s JOB [options] -- COMMAND [ARGUMENT ...]",
        EXEC_EXAMPLES,
    )
    parser.add_argument("job", metavar="JOB", help="the name of the job")
    _daemon_options(parser, environ)
    limits = parser.add_argument_group("the run")
    _seconds(limits, "--timeout", "time limit: SIGTERM, then SIGKILL", None)
    _seconds(limits, "--kill-after", "from SIGTERM to SIGKILL (default: 10s)", 10.0)
    limits.add_argument(
        "--retries",
        type=_count,
        default=0,
        metavar="N",
        help="retry up to N times while the command fails (not after --ok-exit, "
        "--partial-exit, --skipped-exit or lost output): at once, then after 1, 2, 4 "
        "minutes, at most 1h",
    )
    _seconds(limits, "--retry-delay", "the second retry's delay (default: 1m)", 60.0)
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
    _seconds(limits, "--heartbeat", "interval of progress reports", None)
    limits.add_argument(
        "--pass-token",
        action="store_true",
        help="pass AFTERRUN_TOKEN and the credentials in AFTERRUN_URL to the command, "
        "so that it can report too",
    )
    group = parser.add_argument_group("the report")
    _run_id_option(group)
    _metric_options(group)
    group.add_argument(
        "--metrics-file",
        metavar="PATH",
        help="a file with metrics from the command: a JSON object, or name=value lines",
    )
    group.add_argument(
        "--tail",
        type=_count,
        default=50,
        metavar="LINES",
        help="number of last lines of output for the message (default: 50)",
    )
    group.add_argument(
        "--no-capture",
        dest="capture",
        action="store_false",
        help="do not capture stdout and stderr; the report has no message, and no "
        "metrics from lines such as 'afterrun: rows_processed=42'",
    )
    return parser


def _ping(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _parser(
        "ping",
        "Report a run by hand, and print the result.",
        "%(prog)s JOB [options]",
        PING_EXAMPLES,
    )
    parser.add_argument("job", metavar="JOB", help="the name of the job")
    group = parser.add_argument_group("the report")
    group.add_argument(
        "--status",
        help="start, ok, fail, partial, timeout, canceled, skipped, progress or log "
        "(default: ok, or fail when --exit-code is not 0)",
    )
    group.add_argument(
        "--exit-code",
        type=int,
        metavar="N",
        help="exit status of the run; with --status ok the worse of the two counts",
    )
    _seconds(group, "--duration", "duration of the run", None)
    group.add_argument(
        "--message", help="text kept with the run; - reads it from stdin"
    )
    _run_id_option(group)
    _metric_options(group)
    _daemon_options(parser, environ)
    parser.add_argument(
        "--no-spool",
        dest="keep",
        action="store_false",
        help="do not keep reports that cannot be delivered now: exit with 1",
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
        help="flush: deliver waiting reports, the oldest first; list: print them",
    )
    _daemon_options(parser, environ)
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="also flush reports that were meant for a daemon at another URL",
    )
    parser.add_argument("--quiet", action="store_true", help="print problems only")
    return parser


def _parser(
    name: str, description: str, usage: str, epilog: str
) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"afterrun {name}",
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # An abbreviation would break with the next option of the same beginning.
        allow_abbrev=False,
    )


def _daemon_options(
    parser: argparse.ArgumentParser, environ: Mapping[str, str]
) -> None:
    group = parser.add_argument_group("the daemon")
    group.add_argument(
        "--url",
        default=environ.get("AFTERRUN_URL") or DEFAULT_URL,
        help=f"URL of the daemon (AFTERRUN_URL; default: {DEFAULT_URL})",
    )
    group.add_argument(
        "--token-file",
        metavar="PATH",
        help="a file with the token (AFTERRUN_TOKEN: the token itself)",
    )
    _seconds(group, "--patience", "time limit of a report (default: 15s)", 15.0)
    _seconds(group, "--request-timeout", "time limit of a request (default: 10s)", 10.0)
    group.add_argument(
        "--spool",
        metavar="FOLDER",
        help="folder of undelivered reports (AFTERRUN_SPOOL; default: "
        "/var/spool/afterrun for root, else afterrun/spool in XDG_STATE_HOME)",
    )


def _run_id_option(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--run-id", metavar="ID", help="the id of the run (default: a random one)"
    )


def _metric_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a metric of the run; can be repeated",
    )
    group.add_argument(
        "--metadata",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a fact to keep with the run; can be repeated",
    )


def _seconds(
    group: argparse.ArgumentParser | argparse._ArgumentGroup,
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
