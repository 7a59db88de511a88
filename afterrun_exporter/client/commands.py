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
from afterrun_exporter.client.daemon import Answer, Daemon, NotDeliveredError
from afterrun_exporter.client.execute import ExecOptions, execute, to_stderr
from afterrun_exporter.client.file_descriptors import reserve_standard
from afterrun_exporter.client.flush import flush
from afterrun_exporter.client.options import PARSERS
from afterrun_exporter.client.outcomes import EXITS, exit_outcomes
from afterrun_exporter.client.plurals import plural
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
    """Run the command *name* with *arguments*; return the exit status."""
    closed = reserve_standard()
    parser = PARSERS[name](os.environ)
    if name == "exec":
        return _exec(parser, arguments, closed)
    options, unknown = parser.parse_known_args(arguments)
    _refuse(parser, unknown)
    run = {"ping": _ping, "spool flush": _flush, "spool list": _list}
    return run[name](options)


def _refuse(parser: ArgumentParser, unknown: Sequence[str]) -> None:
    """End with an error if there are *unknown* arguments.

    Values of options are not printed: one may be a token, and this goes into cron's mail.
    """
    options = [one.partition("=")[0] for one in unknown if one.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(options or unknown)}")


def _exec(
    parser: ArgumentParser, arguments: Sequence[str], closed: frozenset[int]
) -> int:
    own, dashes, command = _split(arguments)
    options, unknown = parser.parse_known_args(own)
    if unknown and unknown[0].startswith("-"):
        _refuse(parser, unknown)
    if unknown or not command:
        wrong = "no command after --" if dashes else "put -- before the command"
        parser.error(f"{wrong}: afterrun exec {options.job} [options] -- COMMAND")
    try:
        exits = exit_outcomes(
            {name: getattr(options, f"{name}_exit") for name in EXITS}
        )
    except ValueError as error:
        parser.error(str(error))
    order = ExecOptions(
        job=options.job,
        command=command,
        run_id=options.run_id or new_run_id(),
        timeout=options.timeout,
        kill_after=options.kill_after,
        retries=options.retries,
        retry_delay=options.retry_delay,
        heartbeat=options.heartbeat or None,
        capture=options.capture,
        tail=options.tail,
        metrics=options.metric,
        metrics_file=options.metrics_file,
        metadata=options.metadata,
        exits=exits,
        pass_token=options.pass_token,
        closed=closed,
    )
    sender = ReportSender(_settings(options), to_stderr)
    return execute(order, sender, os.environ, to_stderr)


def _split(arguments: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """Return the arguments before ``--``, True if there is one, and the rest."""
    words = list(arguments)
    if "--" not in words:
        return words, False, []
    at = words.index("--")
    return words[:at], True, words[at + 1 :]


def _spool_folder(options: Namespace) -> Path:
    folder = options.spool
    return Path(folder) if folder else default_spool(os.environ, os.geteuid())


def _settings(options: Namespace) -> Settings:
    return Settings(
        url=options.url,
        token=find_token(os.environ, options.token_file, to_stderr),
        spool=_spool_folder(options),
        patience=options.patience,
        request_timeout=options.request_timeout,
        keep=getattr(options, "keep", True),
    )


def _ping(options: Namespace) -> int:
    sender = ReportSender(_settings(options), to_stderr)
    queued = sender.finish(_report(options))
    sender.wait(queued)
    if queued.response is None:
        spooled = queued.entry is not None and not queued.refused
        return 0 if spooled else 1
    for warning in queued.response.get("warnings", ()):
        to_stderr(f"warning from the daemon: {warning}")
    _print(summary(options.job, queued.response))
    violated = queued.response.get("outcome") == "violated"
    return VIOLATED if violated and options.fail_on_violation else 0


def summary(job: str, answer: Answer) -> str:
    """Return one line about the daemon's response to a report."""
    words = [job, str(answer.get("outcome") or f"{answer.get('kind')} recorded")]
    if violations := answer.get("violations"):
        words.append(", ".join(f"{one['rule']} ({_value(one)})" for one in violations))
    line = ": ".join(words)
    return f"{line} (recorded before)" if answer.get("duplicate") else line


def _value(violation: Answer) -> str:
    if actual := violation.get("actual"):
        return str(actual)
    if (text := violation.get("text")) is not None:
        return str(json.dumps(text, ensure_ascii=False))
    return "missing" if violation["value"] is None else str(violation["value"])


def _report(options: Namespace) -> Report:
    metrics = Metrics()
    metrics.add_pairs(options.metric)
    metadata, problems = pairs(options.metadata)
    for problem in (*metrics.all_problems(), *problems):
        to_stderr(problem)
    status, contradiction = worse_status(options.status, options.exit_code)
    if contradiction:
        to_stderr(contradiction)
    unsent = report(
        options.job,
        status,
        run_id=options.run_id,
        exit_code=options.exit_code,
        duration_ms=None if options.duration is None else 1000 * options.duration,
        message=cut(_message(options.message)),
        metrics=metrics.values,
        metadata=metadata,
    )
    return dated(unsent, clock.now())


def _message(text: str | None) -> str:
    if text != "-":
        return text or ""
    return sys.stdin.buffer.read().decode("utf-8", "replace").rstrip()


def _list(options: Namespace) -> int:
    spool = Spool(_spool_folder(options), to_stderr)
    try:
        return _print_reports(spool)
    except OSError as error:
        return _unusable(spool, error)


def _flush(options: Namespace) -> int:
    settings = _settings(options)
    spool = Spool(settings.spool, to_stderr)
    try:
        return _deliver(options, settings, spool)
    except OSError as error:
        return _unusable(spool, error)


def _unusable(spool: Spool, error: OSError) -> int:
    to_stderr(f"cannot use the spool {spool.folder}: {error}")
    return 1


def _print_reports(spool: Spool) -> int:
    empty = True
    for one in spool.files():
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
        if not _print("  ".join(words)):
            return 1
    if empty:
        to_stderr(f"no reports in {spool.folder}")
    return 0


def _deliver(options: Namespace, settings: Settings, spool: Spool) -> int:
    daemon = Daemon(settings.url, settings.token)
    spool.sweep()
    try:
        result = flush(
            spool,
            daemon,
            # Each batch has this time, however many there are.
            lambda: min(settings.request_timeout, settings.patience),
            to_stderr,
            everything=options.everything,
        )
    except NotDeliveredError as error:
        waiting = len(spool.names())
        to_stderr(
            f"{error}; {plural(waiting, 'report remains', 'reports remain')} "
            f"in {spool.folder}"
        )
        return 1
    if not options.quiet:
        _print(
            f"{plural(result.delivered, 'report')} delivered, {result.rejected} refused"
        )
    if result.elsewhere:
        to_stderr(
            f"{plural(result.elsewhere, 'report waits', 'reports wait')} for a daemon "
            f"at another URL than {daemon.url}: name it with --url, or use --all"
        )
    undelivered = result.rejected, result.forbidden, result.unreadable, result.failed
    return 1 if any(undelivered) else 0


def _print(line: str) -> bool:
    """Print *line*; return False, with the reason on stderr, if that fails."""
    rest = memoryview(f"{line}\n".encode("utf-8", "backslashreplace"))
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except OSError as error:
        to_stderr(f"cannot write to stdout: {error.strerror}")
        return False
    return True
