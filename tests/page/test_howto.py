"""How to ping a job: what is shown can be pasted, and does what it says."""

from __future__ import annotations

import json
import shlex

import pytest

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import judge, parse_rule
from afterrun_exporter.core.schedule import parse_cron, parse_oncalendar
from afterrun_exporter.page.howto import examples
from tests.copies import replace
from tests.core.jobs import BACKUP, Night

URL = "https://jobs.example/afterrun"


def code(title: str, night: Night) -> str:
    return next(
        one.code for one in examples(night.job, night.state, URL) if one.title == title
    )


def body(command: str) -> dict[str, object]:
    words = shlex.split(command.replace("\\\n", ""))
    return dict(json.loads(words[words.index("-d") + 1]))


def test_curl_reports_what_the_last_good_run_reported() -> None:
    night = Night().ping("21 13:00", metrics={"rows": 7.0, "size": 2048.5})
    command = code("curl", night)

    assert f"{URL}/ping/backup" in shlex.split(command.replace("\\\n", ""))
    assert body(command) == {"status": "ok", "metrics": {"rows": 7, "size": 2048.5}}


@pytest.mark.parametrize(
    "rule",
    ["n > 0", "n >= 5", "n < 10", "n < 0", "n <= -3", "n == 7", "n != 0",
     "n between 1 and 500", "n >= 0.5 * previous"],
)  # fmt: skip
def test_a_job_that_never_ran_is_shown_values_that_its_rules_allow(rule: str) -> None:
    parsed = parse_rule(rule)
    night = Night(replace(BACKUP, rules=(parsed,)))

    metrics = body(code("curl", night))["metrics"]
    assert isinstance(metrics, dict)
    assert judge(parsed, metrics, {}) is None


def test_a_job_without_metrics_reports_none() -> None:
    assert body(code("curl", Night(Job(name="a")))) == {"status": "ok"}


def test_crontab_has_a_line_for_each_expression() -> None:
    job = replace(BACKUP, schedule=parse_cron(["0 9 * * 1-5", "0 10 * * 6"], "UTC"))

    for title in ("crontab", "afterrun exec"):
        lines = code(title, Night(job)).splitlines()
        starts = [line.partition("  /")[0] for line in lines if "backup.sh" in line]
        assert starts == ["0 9 * * 1-5", "0 10 * * 6"]


def test_crontab_says_what_cron_itself_cannot_read() -> None:
    counted = replace(BACKUP, schedule=parse_cron("0 9 * * MON#1", "UTC"))
    timer = replace(BACKUP, schedule=parse_oncalendar(["daily", "Mon 03:00"], "UTC"))

    assert "# Debian's cron has no # and L" in code("crontab", Night(counted))
    assert code("crontab", Night(timer)).splitlines()[1:4] == [
        "# cron has no such times; a systemd timer has them:",
        "#   OnCalendar=daily",
        "#   OnCalendar=Mon 03:00",
    ]


def test_crontab_starts_when_the_job_is_due() -> None:
    job = replace(BACKUP, schedule=parse_cron("0 2 * * *", "Europe/Riga"))
    note, line = code("crontab", Night(job)).split("\n")

    assert note == "# on a host in time zone Europe/Riga"
    assert line.startswith("0 2 * * *  /opt/backup.sh; curl ")
    # In crontab it would end the command.
    assert "%" not in line


def test_exec_limits_the_run_as_the_job_does() -> None:
    told = code("afterrun exec", Night(replace(BACKUP, max_runtime=3600.0)))

    assert f"AFTERRUN_URL={URL}" in told
    assert "afterrun exec backup --timeout 1h -- /opt/backup.sh" in told
    assert "echo 'afterrun: rows=" in told


def test_python_is_python() -> None:
    told = code("Python", Night().ping("21 13:00", metrics={"rows": 7.0, "size": 1e4}))

    compile(told, "example", "exec")
    assert f'with run("backup", url="{URL}") as r:' in told
    assert 'r.metric("rows", 7)' in told


def test_a_metric_that_a_shell_would_run_is_not_shown() -> None:
    night = Night(Job(name="backup")).ping(
        "21 13:00", metrics={"$(reboot)": 1.0, '"; reboot; "': 2.0, "rows": 3.0}
    )

    told = "".join(one.code for one in examples(night.job, night.state, URL))
    assert "reboot" not in told
    assert "rows" in told
