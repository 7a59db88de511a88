"""`afterrun backtest`: evaluate rules on past runs, before they go live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from afterrun_exporter import config as configs
from afterrun_exporter.cli import client, progress
from afterrun_exporter.cli.check import DEFAULT_FILE
from afterrun_exporter.cli.completion import complete_jobs
from afterrun_exporter.cli.jobs import every
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.config import Config, document
from afterrun_exporter.core.backtest import MAX_FLAGGED, changed_verdicts
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.errors import ConfigError

#: The exit status of --fail-on-change; 1 is an error and 2 a usage error.
CHANGED: Final = 3
#: The number of runs shown for one job, and for each of many.
FEW, FEWER = 20, 3

#: The result for one job: the response of the API.
Answer = dict[str, Any]


@click.command()
@click.option(
    "--job", help="Evaluate rules only on this job.", shell_complete=complete_jobs
)
@click.option(
    "--rule",
    "rules",
    metavar="RULE",
    multiple=True,
    help="Evaluate this rule, written as in afterrun.yml, on --job; may be repeated. It "
    "replaces the rules of the job, unless --add is set.",
)
@click.option(
    "--add", is_flag=True, help="Evaluate --rule in addition to the rules of the job."
)
@click.option(
    "--config.file",
    "config_file",
    type=PathType(),
    help="Without --rule: evaluate the rules of this file on every job that has run.  "
    f"[default: {DEFAULT_FILE}]",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Only runs finished since TIME, such as 30d or 2026-11-22T02:00:00Z. "
    "[default: all stored runs]",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_FLAGGED),
    metavar="N",
    help=f"Show the newest N runs that differ, for each job.  [default: {FEW} for one "
    f"job, {FEWER} for each of many]",
)
@click.option(
    "--fail-on-change",
    is_flag=True,
    help=f"Exit with {CHANGED} if a run would be flagged that was not, or was flagged "
    "and would not be.",
)
@client.asks_daemon
def backtest(
    job: str | None,
    rules: tuple[str, ...],
    add: bool,
    config_file: Path | None,
    since: str | None,
    limit: int | None,
    fail_on_change: bool,
    daemon: client.Daemon,
    as_json: bool,
) -> None:
    """Show which past runs the rules would flag, compared with those that were flagged.

    Use it before a new threshold goes live. The daemon evaluates its stored runs and
    changes nothing:

    \b
      afterrun backtest --job ingest --rule "rows_processed > 100"
      afterrun backtest --config.file afterrun.yml --since 30d

    Exits with 0 regardless of the result; see --fail-on-change.
    """  # noqa: D301 - click reads \b
    query = {"since": since, "changes": ["newly_flagged", "no_longer_flagged"]}
    if rules:
        if job is None:
            raise click.UsageError("--rule needs one job: name it with --job")
        if config_file is not None:
            raise click.UsageError("use --rule or --config.file, not both")
        spec: dict[str, object] = {"rules": [*map(_read, rules)], "add": add}
        answers = [_try(daemon, job, {**query, **spec, "limit": limit or FEW})]
    elif add:
        raise click.UsageError("--add needs --rule")
    else:
        path = config_file or DEFAULT_FILE
        if config_file is None and not path.exists():
            raise click.UsageError(
                f"there is no {path} here: name the rule to evaluate with --job and "
                "--rule, or the file with --config.file"
            )
        jobs, idle = _jobs(daemon, path, job)
        few = limit or (FEWER if job is None else FEW)
        of_one = {**query, "limit": few}
        answers = progress.concurrently(
            lambda one: _try_own(daemon, one, of_one), jobs, "trying rules"
        )
    if job is not None:
        _show_one(answers[0], as_json)
    else:
        _show_many(str(path), answers, idle, as_json)
    if fail_on_change and any(changed_verdicts(one["changes"]) for one in answers):
        raise click.exceptions.Exit(CHANGED)


def _show_one(answer: Answer, as_json: bool) -> None:
    if as_json:
        client.echo_json(answer)
        return
    # Here, because it takes a while and JSON does without.
    from afterrun_exporter.cli import backtest_tables  # noqa: PLC0415

    backtest_tables.show_one(answer)


def _show_many(
    file: str, answers: Sequence[Answer], idle: Sequence[str], as_json: bool
) -> None:
    if as_json:
        client.echo_json({"file": file, "jobs": answers, "idle": idle})
        return
    from afterrun_exporter.cli import backtest_tables  # noqa: PLC0415

    backtest_tables.show_many(file, answers, idle)


def _try_own(daemon: client.Daemon, job: Job, query: Mapping[str, object]) -> Answer:
    """Return the backtest of the rules of *job* in the file."""
    # Rules sent by clients apply to jobs that are not in the file.
    rules = {"rules": [*map(_rule_spec, job.rules)], "said": not job.configured}
    return _try(daemon, job.name, {**query, **rules})


def _try(daemon: client.Daemon, job: str, query: Mapping[str, object]) -> Answer:
    answer: Answer = daemon.post(f"jobs/{client.segment(job)}/backtest", query)
    return answer


def _read(rule: str) -> object:
    """Return *rule* for the API: text, or keys and values."""
    if not rule.lstrip().startswith("{"):
        return rule
    try:
        return document.read(rule).data
    except document.NotYAMLError as error:
        raise click.UsageError(
            f"--rule {rule!r} cannot be read: {error.problems[0].message}"
        ) from None


def _rule_spec(rule: Rule) -> Mapping[str, object]:
    on_missing = "ignore" if rule.ignore_missing else "violate"
    return {"expr": rule.expr, "name": rule.name, "on_missing": on_missing}


def _jobs(
    daemon: client.Daemon, path: Path, name: str | None
) -> tuple[list[Job], list[str]]:
    """Return the jobs to backtest with the rules of *path*, and those without runs."""
    try:
        with progress.bar(f"reading {path}"):
            config = configs.load(path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if name is not None:
        if (job := _job(config, name)) is None:
            raise click.ClickException(f"{path}: {config.job_config.unknown_job(name)}")
        return [job], []
    # A dict keeps the order and has fast lookups.
    ran = dict.fromkeys(one["name"] for one in every(daemon)[0] if one["last_run"])
    idle = [one for one in config.jobs if one not in ran]
    return [job for one in ran if (job := _job(config, one)) is not None], idle


def _job(config: Config, name: str) -> Job | None:
    """Return the job *name* from the file, or as its policy for unknown jobs defines it.

    None if the policy rejects it.
    """
    job_config = config.job_config
    if name in job_config.jobs:
        return job_config.jobs[name]
    return None if job_config.unknown is None else job_config.unknown(name, "")
