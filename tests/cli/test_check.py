"""`afterrun check` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.check import check

CONFIG = """\
labels: [team]
jobs:
  nightly-backup:
    schedule: "0 2 * * *"
    timezone: Europe/Riga
    grace: 30m
    rules: [rows > 0, size > 1KiB]
  sync: {every: 1h, grace: 90s}
  by-hand: {}
  retired: {schedule: "@daily", enabled: false}
"""

# The clocks of Riga went forward on 2026-03-29, at 03:00.
TABLE = """
JOB             ZONE         SLOT                          DEADLINE                       SLOT UTC           DEADLINE UTC
nightly-backup  Europe/Riga  Sun 2026-03-29 02:00 +0200    Sun 2026-03-29 02:30 +0200     2026-03-29 00:00Z  2026-03-29 00:30Z
nightly-backup  Europe/Riga  Mon 2026-03-30 02:00 +0300    Mon 2026-03-30 02:30 +0300     2026-03-29 23:00Z  2026-03-29 23:30Z
sync            UTC          Sat 2026-03-28 13:00 +0000 *  Sat 2026-03-28 13:01:30 +0000  2026-03-28 13:00Z  2026-03-28 13:01:30Z
sync            UTC          Sat 2026-03-28 14:00 +0000 *  Sat 2026-03-28 14:01:30 +0000  2026-03-28 14:00Z  2026-03-28 14:01:30Z
by-hand         no schedule
retired         disabled

* every: counts from the job's last run; shown as if that had been at 2026-03-28 12:00Z.
"""

SAMPLE = Path(__file__).parents[2] / "afterrun.yml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.yml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(check, [str(argument) for argument in arguments])


def test_a_good_file_gets_one_line(file: Path) -> None:
    """What was found, so that a file that is empty by mistake shows."""
    result = _run(file)

    assert result.exit_code == 0
    assert result.stdout == f"{file}: 4 jobs, 3 scheduled, 2 rules: no problems\n"
    assert result.stderr == ""


def test_one_is_not_many(tmp_path: Path) -> None:
    """Numbers agree with their nouns."""
    path = tmp_path / "one.yml"
    path.write_text("jobs: {a: {rules: [rows > 0]}}", encoding="utf-8")

    assert _run(path).stdout == f"{path}: 1 job, 0 scheduled, 1 rule: no problems\n"


def test_the_sample_configuration_is_good() -> None:
    """It is what `make run` starts with."""
    assert _run(SAMPLE).exit_code == 0


def test_the_file_may_be_given_the_way_serve_takes_it(file: Path) -> None:
    """One habit for both commands."""
    assert _run("--config.file", file).stdout == _run(file).stdout


def test_the_file_is_given_once(file: Path) -> None:
    """Checking one of two files in silence would be worse."""
    result = _run(file, "--config.file", file)

    assert result.exit_code == 2
    assert "use CONFIG or --config.file, not both" in result.stderr


def test_without_a_name_it_is_afterrun_yml_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `afterrun serve` has it."""
    monkeypatch.chdir(tmp_path)
    Path("afterrun.yml").write_text("jobs: {a: }", encoding="utf-8")

    assert _run().stdout.startswith("afterrun.yml: 1 job")


def test_every_problem_goes_to_stderr_on_a_line_of_its_own(tmp_path: Path) -> None:
    """An editor can jump to each; stdout stays empty for scripts."""
    path = tmp_path / "bad.yml"
    path.write_text("jobs:\n  a: {every: 5}\n  b: {grcae: 5m}\n", encoding="utf-8")

    result = _run(path)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"{path}:2: jobs.a.every: 5 is not a duration: write 5s or 5m\n"
        f"{path}:3: jobs.b.grcae: unknown key; did you mean 'grace'?\n"
    )


def test_a_file_that_is_not_there_is_a_problem_like_any_other(tmp_path: Path) -> None:
    """Exit 1, not a traceback."""
    result = _run(tmp_path / "absent.yml")

    assert result.exit_code == 1
    assert "absent.yml" in result.stderr
    assert "No such file or directory" in result.stderr


def test_a_warning_is_no_problem(tmp_path: Path) -> None:
    """It is said, and the exit status is that of a good file."""
    path = tmp_path / "leap.yml"
    path.write_text('jobs:\n  a: {schedule: "0 0 30 2 *"}\n', encoding="utf-8")

    result = _run(path, "--slots", 2)

    assert result.exit_code == 0
    assert result.stderr == (
        f"{path}:2: jobs.a.schedule: '0 0 30 2 *' matches no future day (warning)\n"
    )
    assert "never due" in result.stdout


def test_slots_of_excluded_days_are_left_out_and_counted(tmp_path: Path) -> None:
    """A forgotten holiday is seen before it is a false alarm."""
    path = tmp_path / "afterrun.yml"
    path.write_text(
        "jobs:\n"
        "  pay: {schedule: '0 9,17 * * mon-fri', exclude: [{holidays: DE-BY}, 12-24]}\n"
        "  sweep: {oncalendar: daily, exclude: [12-20..01-06]}\n"
        "  plain: {oncalendar: daily}\n",
        encoding="utf-8",
    )
    options = ("--slots", 2, "--from", "2026-12-23T12:00:00Z")

    shown = _run(path, *options)
    told = json.loads(_run(path, *options, "--json").stdout)

    assert shown.exit_code == 0
    assert "2026-12-24 09:00" not in shown.stdout
    assert (
        "pay: 4 slots left out on excluded days: Thu 2026-12-24, Fri 2026-12-25\n"
        in shown.stdout
    )
    assert (
        "sweep: 14 slots left out on excluded days: Thu 2026-12-24, Fri 2026-12-25, "
        "Sat 2026-12-26, Sun 2026-12-27, Mon 2026-12-28 and 9 more days\n"
    ) in shown.stdout
    assert "plain:" not in shown.stdout
    pay, _, plain = told["slots"]
    assert pay["exclude"] == ["holidays DE-BY", "12-24"]
    assert pay["slots"][1]["slot"] == "2026-12-28T09:00:00Z"
    assert pay["excluded_slots"][0] == "2026-12-24T09:00:00Z"
    assert (plain["exclude"], plain["excluded_slots"]) == ([], [])


def test_slots_are_shown_in_local_time_and_in_utc(file: Path) -> None:
    """A mixed-up time zone is seen before it is a false alarm."""
    result = _run(file, "--slots", 2, "--from", "2026-03-28T12:00:00Z")

    assert (
        result.stdout == f"{file}: 4 jobs, 3 scheduled, 2 rules: no problems\n{TABLE}"
    )


def test_slots_as_json(file: Path) -> None:
    """The same facts for scripts, in times that need no explanation."""
    result = _run(file, "--slots", 1, "--from", "2026-03-29T12:00+03:00", "--json")

    report = json.loads(result.stdout)
    jobs = {job["job"]: job for job in report["slots"]}
    assert (report["file"], report["problems"]) == (str(file), [])
    assert (report["jobs"], report["scheduled"], report["rules"]) == (4, 3, 2)
    assert jobs["nightly-backup"] == {
        "job": "nightly-backup",
        "schedule": "0 2 * * *",
        "exclude": [],
        "timezone": "Europe/Riga",
        "enabled": True,
        "slots": [
            {
                "slot": "2026-03-30T02:00:00+03:00",
                "deadline": "2026-03-30T02:30:00+03:00",
                "slot_utc": "2026-03-29T23:00:00Z",
                "deadline_utc": "2026-03-29T23:30:00Z",
            }
        ],
        "excluded_slots": [],
    }
    assert jobs["sync"]["slots"][0]["deadline_utc"] == "2026-03-29T10:01:30Z"
    assert jobs["by-hand"]["slots"] == jobs["retired"]["slots"] == []


def test_problems_as_json(tmp_path: Path) -> None:
    """A script gets the parts of what stderr says in one line."""
    path = tmp_path / "bad.yml"
    path.write_text("jobs: {a: {every: 5}}", encoding="utf-8")

    result = _run(path, "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"] == [
        {
            "file": str(path),
            "line": 1,
            "key": "jobs.a.every",
            "message": "5 is not a duration: write 5s or 5m",
        }
    ]


def test_a_time_without_an_offset_is_utc(file: Path) -> None:
    """Never the zone of the machine that happens to run the check."""
    there, here = (
        _run(file, "--slots", 3, "--from", time)
        for time in ("2026-03-29T12:00", "2026-03-29T12:00Z")
    )

    assert there.stdout == here.stdout


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("tomorrow", "'tomorrow' is not a time; write it like 2026-11-22T02:00:00Z"),
        ("9999-12-31", "'9999-12-31' is out of range: use a year from 1970 to 2200"),
    ],
)
def test_a_time_that_cannot_be_read_is_explained(
    file: Path, time: str, message: str
) -> None:
    """A wrong use of the command is exit 2, as everywhere."""
    result = _run(file, "--slots", 1, "--from", time)

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


BASE = "route: {receiver: us}\nreceivers: [{name: us}]\n"


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (None, "cannot read '{base}': No such file or directory"),
        ("", "'{base}' is not keys and values"),
        (
            "route: {receiver: oncall}\nreceivers: [{name: oncall}]\n",
            (
                "receiver 'oncall' is in alertmanager: of afterrun.yml and in its base "
                "'base.yml': rename one of the two"
            ),
        ),
    ],
)
def test_a_base_that_nothing_can_be_made_of_is_a_problem(
    tmp_path: Path, base: str | None, said: str
) -> None:
    """Found here, and not when the files are generated."""
    path = tmp_path / "afterrun.yml"
    path.write_text(
        "jobs: {}\nalertmanager:\n"
        "  receivers: {oncall: [{email: a@example.com}]}\n  base: base.yml\n"
    )
    if base is not None:
        (tmp_path / "base.yml").write_text(base)
    message = said.format(base=tmp_path / "base.yml")

    result, as_json = _run(path), _run(path, "--json")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{path}:4: alertmanager.base: {message}\n"
    assert json.loads(as_json.stdout)["problems"] == [
        {
            "file": str(path),
            "line": 4,
            "key": "alertmanager.base",
            "message": message,
        }
    ]


def test_a_base_that_goes_with_the_rest_is_no_problem(tmp_path: Path) -> None:
    """It is found beside the configuration, wherever the command is run."""
    path = tmp_path / "afterrun.yml"
    path.write_text("jobs: {}\nalertmanager: {base: base.yml}\n")
    (tmp_path / "base.yml").write_text(BASE)

    assert _run(path).exit_code == 0


def test_a_missing_secret_is_a_warning_at_the_line_that_needs_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "jobs.yml"
    file.write_text(
        "alertmanager:\n"
        "  receivers:\n"
        "    oncall:\n"
        "      - email: a@example.com\n"
        f"      - pagerduty: {{routing_key_file: {tmp_path}/key}}\n"
        "jobs: {}\n"
    )

    result = _run(file)

    assert result.exit_code == 0
    assert result.stderr == (
        f"{file}:5: alertmanager.receivers.oncall[1]: {tmp_path}/key cannot be read: No "
        "such file or directory (warning)\n"
    )
