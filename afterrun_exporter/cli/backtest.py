"""`afterrun backtest`: what would rules have flagged, before they go live?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from afterrun_exporter import config as configs
from afterrun_exporter.cli import client
from afterrun_exporter.cli.check import DEFAULT_FILE
from afterrun_exporter.cli.jobs import every
from afterrun_exporter.config import Config, document
from afterrun_exporter.core.backtest import MOST_SHOWN
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.errors import ConfigError

#: Neither a problem (1) nor a mistake of the command (2).
CHANGED: Final = 3
#: Runs that are shown of one job, and of each of many.
FEW, FEWER = 20, 3

#: What came of one job: what the API answers.
Answer = dict[str, Any]


@click.command()
@click.option("--job", help="Try rules on this job alone.")
@click.option(
    "--rule",
    "rules",
    metavar="RULE",
    multiple=True,
    help="Try this rule, written as in afterrun.yml, on --job; may be repeated. What is "
    "given is what is tried: the rules that the job has are left out, unless --add.",
)
@click.option("--add", is_flag=True, help="Try --rule beside the rules the job has.")
@click.option(
    "--config.file",
    "config_file",
    type=click.Path(path_type=Path),
    help="Without --rule: try the rules of this file on every job that has run.  "
    f"[default: {DEFAULT_FILE}]",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Only runs that ended since then, such as 30d or 2026-11-22T02:00:00Z. "
    "[default: all that are kept]",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_SHOWN),
    metavar="N",
    help=f"Show the newest N runs that differ, of each job.  [default: {FEW} of one "
    f"job, {FEWER} of each of many]",
)
@click.option(
    "--fail-on-change",
    is_flag=True,
    help=f"Exit with {CHANGED} when a run would be flagged that was not, or the other "
    "way round.",
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
    url: str,
    as_json: bool,
) -> None:
    """Show which past runs rules would have flagged, against what was flagged.

    Ask it before a new threshold goes live. The daemon judges the runs it keeps, and
    changes nothing:

    \b
      afterrun backtest --job ingest --rule "rows_processed > 100"
      afterrun backtest --config.file afterrun.yml --since 30d

    Exits 0 whatever it finds; see --fail-on-change.
    """
    asked = {"since": since, "changes": ["newly_flagged", "no_longer_flagged"]}
    if rules:
        if job is None:
            raise click.UsageError("--rule is tried on one job: name it with --job")
        if config_file is not None:
            raise click.UsageError("give --rule or --config.file, not both")
        given: dict[str, object] = {"rules": [*map(_read, rules)], "add": add}
        answers = [_try(url, job, {**asked, **given, "limit": limit or FEW})]
    elif add:
        raise click.UsageError("--add is for --rule: there is none")
    else:
        path = config_file or DEFAULT_FILE
        jobs, idle = _jobs(url, path, job)
        few = limit or (FEWER if job is None else FEW)
        answers = [_try_own(url, one, {**asked, "limit": few}) for one in jobs]
    if job is not None:
        _show_one(answers[0], as_json)
    else:
        _show_many(str(path), answers, idle, as_json)
    if fail_on_change and any(map(changed, answers)):
        raise click.exceptions.Exit(CHANGED)


def changed(answer: Answer) -> int:
    """Return of how many runs the verdict would be another."""
    changes = answer["changes"]
    return int(changes["newly_flagged"] + changes["no_longer_flagged"])


def _show_one(answer: Answer, as_json: bool) -> None:
    if as_json:
        client.echo_json(answer)
        return
    # Here, because it takes a while and JSON does without.
    from afterrun_exporter.cli import backtesttables  # noqa: PLC0415

    backtesttables.show_one(answer)


def _show_many(
    file: str, answers: Sequence[Answer], idle: Sequence[str], as_json: bool
) -> None:
    if as_json:
        client.echo_json({"file": file, "jobs": answers, "idle": idle})
        return
    from afterrun_exporter.cli import backtesttables  # noqa: PLC0415

    backtesttables.show_many(file, answers, idle)


def _try_own(url: str, job: Job, asked: Mapping[str, object]) -> Answer:
    """Return what the rules that *job* has in the file come to."""
    # What a client has said of a job counts where the file does not name it.
    rules = {"rules": [*map(_written, job.rules)], "said": not job.configured}
    return _try(url, job.name, {**asked, **rules})


def _try(url: str, job: str, asked: Mapping[str, object]) -> Answer:
    answer: Answer = client.post(url, f"jobs/{client.segment(job)}/backtest", asked)
    return answer


def _read(rule: str) -> object:
    """Return *rule* as the API takes it: text, or keys and values."""
    if not rule.lstrip().startswith("{"):
        return rule
    try:
        return document.read(rule).data
    except document.NotYAMLError as error:
        raise click.UsageError(
            f"--rule {rule!r} cannot be read: {error.problems[0].message}"
        ) from None


def _written(rule: Rule) -> Mapping[str, object]:
    on_missing = "ignore" if rule.ignore_missing else "violate"
    return {"expr": rule.expr, "name": rule.name, "on_missing": on_missing}


def _jobs(url: str, path: Path, name: str | None) -> tuple[list[Job], list[str]]:
    """Return the jobs that the rules of *path* are tried on, and those without runs."""
    try:
        config = configs.load(path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if name is not None:
        if (job := _job(config, name)) is None:
            raise click.ClickException(f"{path}: {config.job_config.unknown_job(name)}")
        return [job], []
    # A dict keeps the order, and a job is soon found in it.
    ran = dict.fromkeys(one["name"] for one in every(url) if one["last_run"])
    idle = [one for one in config.jobs if one not in ran]
    return [job for one in ran if (job := _job(config, one)) is not None], idle


def _job(config: Config, name: str) -> Job | None:
    """Return the job *name* as the file describes it, or as its policies would.

    None where the file has no place for it: it would be rejected.
    """
    job_config = config.job_config
    if name in job_config.jobs:
        return job_config.jobs[name]
    return None if job_config.unknown is None else job_config.unknown(name, "")
