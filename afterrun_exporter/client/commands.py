"""`afterrun exec`, `afterrun ping` and `afterrun spool`, from arguments to exit status."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from afterrun_exporter.client import clock
from afterrun_exporter.client.arguments import Metrics, pairs
from afterrun_exporter.client.daemon import Answer, HTTPDaemon, NotDeliveredError
from afterrun_exporter.client.execute import Order, execute, to_stderr
from afterrun_exporter.client.file_descriptors import reserve_standard
from afterrun_exporter.client.flush import flush
from afterrun_exporter.client.options import parsers
from afterrun_exporter.client.outcomes import EXITS, exit_outcomes
from afterrun_exporter.client.report_sender import ReportSender
from afterrun_exporter.client.reports import (
    Report,
    cut,
    dated,
    new_run_id,
    report,
    worse_status,
)
from afterrun_exporter.client.settings import Settings, default_spool, find_token
from afterrun_exporter.client.spool import Spool

VIOLATED: Final = 3


def main(name: str, arguments: Sequence[str]) -> int:
    """Do what the command *name* is asked for; return the exit status."""
    closed = reserve_standard()
    parser = parsers(os.environ)[name]
    if name == "exec":
        return _exec(parser, arguments, closed)
    given = parser.parse_args(arguments)
    return _ping(given) if name == "ping" else _spool(given)


def _exec(
    parser: ArgumentParser, arguments: Sequence[str], closed: frozenset[int]
) -> int:
    own, dashes, command = _split(arguments)
    given, unknown = parser.parse_known_args(own)
    if unknown and unknown[0].startswith("-"):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if unknown or not command:
        wrong = "no command after --" if dashes else "put -- before the command"
        parser.error(f"{wrong}: afterrun exec {given.job} [options] -- COMMAND")
    try:
        exits = exit_outcomes({name: getattr(given, f"{name}_exit") for name in EXITS})
    except ValueError as error:
        parser.error(str(error))
    order = Order(
        job=given.job,
        command=command,
        run_id=given.run_id or new_run_id(),
        timeout=given.timeout,
        kill_after=given.kill_after,
        retries=given.retries,
        retry_delay=given.retry_delay,
        heartbeat=given.heartbeat or None,
        capture=given.capture,
        tail=given.tail,
        metrics=given.metric,
        metrics_file=given.metrics_file,
        metadata=given.metadata,
        exits=exits,
        pass_token=given.pass_token,
        closed=closed,
    )
    courier = ReportSender(_settings(given), to_stderr)
    return execute(order, courier, os.environ, to_stderr)


def _split(arguments: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """Return what is before the first ``--``, whether there is one, and what follows."""
    given = list(arguments)
    if "--" not in given:
        return given, False, []
    at = given.index("--")
    return given[:at], True, given[at + 1 :]


def _settings(given: Namespace) -> Settings:
    spool = given.spool
    return Settings(
        url=given.url,
        token=find_token(os.environ, given.token_file, to_stderr),
        spool=Path(spool) if spool else default_spool(os.environ, os.geteuid()),
        patience=given.patience,
        request_timeout=given.request_timeout,
        keep=getattr(given, "keep", True),
    )


def _ping(given: Namespace) -> int:
    courier = ReportSender(_settings(given), to_stderr)
    parcel = courier.finish(_report(given))
    courier.wait(parcel)
    if parcel.verdict is None:
        kept = parcel.entry is not None and not parcel.refused
        return 0 if kept else 1
    for warning in parcel.verdict.get("warnings", ()):
        to_stderr(f"the daemon remarks: {warning}")
    _say(verdict(given.job, parcel.verdict))
    violated = parcel.verdict.get("outcome") == "violated"
    return VIOLATED if violated and given.fail_on_violation else 0


def verdict(job: str, answer: Answer) -> str:
    """Return what the daemon makes of a report, in a line."""
    words = [job, str(answer.get("outcome") or f"{answer.get('kind')} recorded")]
    if broken := answer.get("violations"):
        words.append(", ".join(f"{one['rule']} ({_value(one)})" for one in broken))
    line = ": ".join(words)
    return f"{line} (recorded before)" if answer.get("duplicate") else line


def _value(broken: Answer) -> str:
    if (text := broken.get("text")) is not None:
        return str(json.dumps(text, ensure_ascii=False))
    return "missing" if broken["value"] is None else str(broken["value"])


def _report(given: Namespace) -> Report:
    metrics = Metrics()
    metrics.add_pairs(given.metric)
    metadata, problems = pairs(given.metadata)
    for problem in (*metrics.all_problems(), *problems):
        to_stderr(problem)
    status, contradiction = worse_status(given.status, given.exit_code)
    if contradiction:
        to_stderr(contradiction)
    made = report(
        given.job,
        status,
        run_id=given.run_id,
        exit_code=given.exit_code,
        duration_ms=None if given.duration is None else 1000 * given.duration,
        message=cut(_message(given.message)),
        metrics=metrics.values,
        metadata=metadata,
    )
    return dated(made, clock.now())


def _message(text: str | None) -> str:
    if text != "-":
        return text or ""
    return sys.stdin.buffer.read().decode("utf-8", "replace").rstrip()


def _spool(given: Namespace) -> int:
    settings = _settings(given)
    spool = Spool(settings.spool, to_stderr)
    try:
        return (
            _list(spool) if given.action == "list" else _flush(given, settings, spool)
        )
    except OSError as error:
        to_stderr(f"the spool {spool.folder} cannot be used: {error}")
        return 1


def _list(spool: Spool) -> int:
    empty = True
    for one in spool.listed():
        empty = False
        words = [one.name]
        if one.report is not None:
            words += [
                one.url,
                one.report.job,
                str(one.report.fields.get("status", "ok")),
            ]
        if one.reason:
            words.append(one.reason)
        if not _say("  ".join(words)):
            return 1
    if empty:
        to_stderr(f"no report waits in {spool.folder}")
    return 0


def _flush(given: Namespace, settings: Settings, spool: Spool) -> int:
    daemon = HTTPDaemon(settings.url, settings.token)
    spool.sweep()
    try:
        done = flush(
            spool,
            daemon,
            # However much waits, each batch has its time.
            lambda: min(settings.request_timeout, settings.patience),
            to_stderr,
            everything=given.everything,
        )
    except NotDeliveredError as error:
        waiting = len(spool.names())
        to_stderr(f"{error}; {waiting} reports go on waiting in {spool.folder}")
        return 1
    if not given.quiet:
        _say(f"{done.delivered} reports delivered, {done.rejected} refused")
    if done.elsewhere:
        to_stderr(
            f"{done.elsewhere} reports wait for a daemon at another URL than "
            f"{daemon.url}: name it with --url, or use --all"
        )
    left = done.rejected, done.forbidden, done.unreadable, done.failed
    return 1 if any(left) else 0


def _say(line: str) -> bool:
    """Print *line*; return False, and print why on stderr, if it cannot be printed."""
    rest = memoryview(f"{line}\n".encode("utf-8", "backslashreplace"))
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except OSError as error:
        to_stderr(f"cannot write to stdout: {error.strerror}")
        return False
    return True
