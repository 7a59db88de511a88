"""`afterrun backtest`: rules tried on what a daemon knows of past runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter import config as configs
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from tests.copies import replace
from tests.core.jobs import BACKUP, ping
from tests.fakes import ManualClock
from tests.services import job_config

from .conftest import Ask

#: Two rules of the backup as they are, and of a job that pings have registered.
FILE = """\
jobs:
  backup:
    rules: [{rule}, size > 1KiB]
  unheard-of: {{rules: [rows > 0]}}
policies:
  - match: {{name: ^import}}
    rules: [rows > 1000]
"""


def table(result: Result, title: str) -> list[list[str]]:
    """Return the cells below the line that starts with *title*."""
    lines = result.stdout.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(title))
    below = lines[start + 1 :]
    end = below.index("") if "" in below else len(below)
    return [re.split(r"\s{2,}", line) for line in below[:end]]


async def report(service: Service, *rows: float, job: str = "backup") -> None:
    """Report a run a minute."""
    for minute, count in enumerate(rows):
        metrics = {"rows": float(count), "size": 48211.0}
        await service.record(ping(f"21 12:{minute:02}", job=job, metrics=metrics))


def write(folder: Path, rule: str = "rows > 0") -> str:
    path = folder / "afterrun.yml"
    path.write_text(FILE.format(rule=rule))
    return str(path)


async def test_a_rule_is_tried_on_a_job(ask: Ask, service: Service) -> None:
    """What is given is what is tried: other rules flagged, and would not."""
    await report(service, 120, 50, 0)
    await service.record(ping("21 12:04", outcome=Outcome.FAIL))
    await service.record(ping("21 12:05", metrics={"rows": 500.0, "size": 0.0}))

    result = await ask("backtest", "--job", "backup", "--rule", "rows > 100")

    assert result.exit_code == 0, result.output
    headline, span, rest, empty = result.stdout.splitlines()[:4]
    assert headline == (
        "backup: 2 of 4 runs would be flagged, 2 were: 1 newly, 1 no longer"
    )
    assert re.match(r"  5 runs from 2026-11-21 .+ to 2026-11-21 ", span)
    assert (rest, empty) == ("  not evaluated: 1 run that did not report ok", "")
    assert table(result, "RULE") == [
        ["rows > 100", "2", "0", "0"],
        ["rows > 0", "not tried", "1", "0"],
        ["size > 1KiB", "not tried", "1", "0"],
    ]
    assert [row[1:] for row in table(result, "FINISHED")] == [
        ["#5", "no longer flagged", "size > 1KiB", "0 B", "> 1 KiB"],
        ["#2", "newly flagged", "rows > 100", "50", "> 100"],
    ]


async def test_rules_are_tried_beside_those_of_the_job(
    ask: Ask, service: Service
) -> None:
    """Where that is asked for."""
    await report(service, 120, 50, 0)

    result = await ask(
        *("backtest", "--job", "backup", "--add"),
        *("--rule", "rows > 100", "--rule", "{expr: size > 1MiB, name: large}"),
    )

    assert [row[:2] for row in table(result, "RULE")] == [
        *(["rows > 0", "1"], ["size > 1KiB", "0"], ["rows > 100", "2"], ["large", "3"])
    ]


async def test_a_metric_that_was_never_reported_is_told(
    ask: Ask, service: Service
) -> None:
    """It is misspelt, most of the time."""
    await report(service, 120)

    result = await ask("backtest", "--job", "backup", "--rule", "row > 100")

    assert (
        "\n  warning: 'row > 100' flags every run: 'row' was never reported; did you "
        "mean 'rows'?\n"
    ) in result.stdout
    assert table(result, "FINISHED")[0][-2:] == ["not reported", "> 100"]


async def test_only_the_newest_are_listed(ask: Ask, service: Service) -> None:
    await report(service, 1, 2, 3)

    result = await ask(
        *("backtest", "--job", "backup", "--rule", "rows > 100", "--limit", "2")
    )

    assert [row[1] for row in table(result, "FINISHED")] == ["#3", "#2"]
    assert result.stdout.endswith("\n\n1 older run more: see --limit\n")


async def test_a_job_without_runs_is_no_error(ask: Ask) -> None:
    result = await ask("backtest", "--job", "backup", "--rule", "rows > 100")

    assert (result.exit_code, result.stdout) == (
        0,
        "backup: no runs yet: there is nothing to test rules on\n",
    )


async def test_a_changed_file_is_tried_on_every_job(
    ask: Ask, service: Service, tmp_path: Path
) -> None:
    """Those that pings registered too: policies have rules for them."""
    await report(service, 120, 50, 0)
    await report(service, 2000, 999, job="import-a")
    await report(service, 5, job="other")

    result = await ask("backtest", "--config.file", write(tmp_path, "rows > 100"))

    assert result.exit_code == 0, result.output
    headline, idle = result.stdout.splitlines()[:2]
    assert headline == (
        f"{tmp_path}/afterrun.yml: 3 of 6 runs of 3 jobs would be flagged, 1 was: "
        "2 results change, of 2 jobs"
    )
    assert idle == "  no run yet: unheard-of"
    assert table(result, "JOB ") == [
        ["backup", "3", "2", "1", "1", "0"],
        ["import-a", "2", "1", "0", "1", "0"],
    ]
    *_, runs = result.stdout.split("\n\n")
    assert [re.split(r"\s{2,}", line)[::2] for line in runs.splitlines()[1:]] == [
        ["backup", "#2", "rows > 100", "> 100"],
        ["import-a", "#2", "rows > 1000", "> 1000"],
    ]


async def test_a_file_that_changes_nothing_is_one_line(
    ask: Ask, service: Service, tmp_path: Path
) -> None:
    """A rule with a name is the same rule after it went over the API."""
    halved = replace(
        parse_rule("rows >= 0.5 * previous"), name="halved", ignore_missing=True
    )
    await service.reconfigure(job_config(replace(BACKUP, rules=(halved,))))
    await report(service, 120, 50)
    text = "{expr: rows >= 0.5 * previous, name: halved, on_missing: ignore}"

    result = await ask(
        *("backtest", "--config.file", write(tmp_path, text), "--fail-on-change")
    )

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].endswith(
        "1 of 2 runs of 1 job would be flagged, 1 was: no result changes"
    )


async def test_rules_that_a_client_gave_a_job_are_no_change(
    ask: Ask, service: Service, clock: ManualClock, tmp_path: Path
) -> None:
    """The file does not name the job, and says nothing of them."""
    file = write(tmp_path)
    await service.reconfigure(configs.load(Path(file)).job_config)
    await JobAdmin(service, clock).describe("guest", {"rules": ["rows > 100"]})
    await report(service, 120, 50, job="guest")

    result = await ask("backtest", "--config.file", file)

    assert result.stdout.splitlines()[0].endswith(
        "1 of 2 runs of 1 job would be flagged, 1 was: no result changes"
    )


async def test_one_job_of_a_file_is_shown_whole(
    ask: Ask, service: Service, tmp_path: Path
) -> None:
    await report(service, 120, 50)
    file = write(tmp_path, "rows > 100")

    result = await ask("backtest", "--config.file", file, "--job", "backup")

    assert [row[0] for row in table(result, "RULE")] == ["rows > 100", "size > 1KiB"]


@pytest.mark.parametrize(("rule", "status"), [("rows > 100", 3), ("rows > 10", 0)])
async def test_a_pipeline_can_stop_at_a_change(
    ask: Ask, service: Service, tmp_path: Path, rule: str, status: int
) -> None:
    """Of one job and of all, in words and in JSON."""
    await report(service, 120, 50)
    file = write(tmp_path, rule)

    for asked in (["--job", "backup", "--rule", rule], ["--config.file", file]):
        quiet = await ask("backtest", *asked)
        strict = await ask("backtest", *asked, "--fail-on-change")
        as_json = await ask("backtest", *asked, "--fail-on-change", "--json")

        assert (quiet.exit_code, strict.exit_code) == (0, status)
        assert quiet.stdout == strict.stdout
        assert as_json.exit_code == status
        assert json.loads(as_json.stdout)


async def test_programs_read_what_the_api_answers(
    ask: Ask, service: Service, tmp_path: Path
) -> None:
    await report(service, 120, 50)

    one = await ask("backtest", "--job", "backup", "--rule", "rows > 100", "--json")
    all_ = await ask("backtest", "--config.file", write(tmp_path), "--json")

    assert json.loads(one.stdout)["changes"]["newly_flagged"] == 1
    answer = json.loads(all_.stdout)
    assert [job["job"] for job in answer["jobs"]] == ["backup"]
    assert answer["idle"] == ["unheard-of"]


async def test_many_warnings_are_left_at_a_number(
    ask: Ask, service: Service, tmp_path: Path
) -> None:
    for number in range(12):
        await service.record(ping("21 12:00", job=f"import-{number}", metrics={}))
    file = write(tmp_path)

    result = await ask("backtest", "--config.file", file)

    assert result.stdout.count("\n  warning: import-") == 10
    assert "\n  2 more warnings like these\n  no run yet: backup, unheard" in (
        result.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (
            ["--rule", "rows > 1"],
            2,
            "Error: --rule needs one job: name it with --job\n",
        ),
        (
            ["--rule", "rows > 1", "--job", "backup", "--config.file", "x"],
            2,
            "Error: use --rule or --config.file, not both\n",
        ),
        (["--add"], 2, "Error: --add needs --rule\n"),
        (
            ["--job", "backup", "--rule", "{expr: rows"],
            2,
            "Error: --rule '{expr: rows' cannot be read: ",
        ),
        (
            ["--job", "backup", "--rule", "rows is 1", "--rule", "rows > 5 parsecs"],
            1,
            (
                "Error: rules[0]: cannot read rule 'rows is 1': write METRIC OP VALUE, "
                "METRIC OP FACTOR * previous, METRIC between A and B, "
                'FIELD == "TEXT" or FIELD !contains "TEXT"\n'
                "rules[1]: unknown unit 'parsecs' in '5 parsecs': use one of "
            ),
        ),
        (
            ["--job", "bakup", "--rule", "rows > 1"],
            1,
            "Error: unknown job 'bakup'; did you mean 'backup'?\n",
        ),
        (
            ["--job", "backup", "--rule", "rows > 1", "--since", "soon"],
            1,
            "Error: since: 'soon' is neither a duration nor a time: ",
        ),
        (
            ["--config.file", "no.yml"],
            1,
            "Error: no.yml: cannot be read: No such file or directory\n",
        ),
    ],
)
async def test_what_cannot_be_tried_is_told(
    ask: Ask, arguments: list[str], status: int, problem: str
) -> None:
    result = await ask("backtest", *arguments)

    assert (result.exit_code, result.stdout) == (status, "")
    assert problem in result.stderr


async def test_a_job_that_the_file_has_no_place_for_is_told(
    ask: Ask, tmp_path: Path
) -> None:
    path = tmp_path / "afterrun.yml"
    path.write_text("unknown_jobs: reject\njobs: {backups: {}}")

    result = await ask("backtest", "--config.file", str(path), "--job", "backup")

    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {path}: unknown job 'backup'; did you mean 'backups'?\n"
    )


def test_its_help_says_what_is_tried() -> None:
    help_ = CliRunner().invoke(afterrun, ["backtest", "--help"]).stdout

    assert "It replaces the rules of the job, unless --add is set" in " ".join(
        help_.split()
    )


async def test_without_a_rule_and_a_file_it_says_what_to_name(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = await ask("backtest", "--job", "backup")

    assert result.exit_code == 2
    assert (
        "there is no afterrun.yml here: name the rule to evaluate with --job and --rule, "
        "or the file with --config.file"
    ) in result.stderr
