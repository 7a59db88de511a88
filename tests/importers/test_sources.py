"""Each source of `afterrun import`, from files to a checked afterrun.yml."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.group import afterrun

CRON_JOB = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: backup, labels: {team: data}}
spec: {schedule: "0 2 * * *", timeZone: Europe/Riga}
"""
SCHEDULER = """\
schedules:
  - {jobId: daily.report, schedule: "0 9 * * *", enabled: true}
"""
ALERTS = """\
settings: {enabled: true, channels: [slack], slack: {channel: "#alerts"}}
jobFailures:
  - {name: repeated, enabled: true, conditions: {consecutiveFailures: 3}, severity: high}
"""
MANIFEST = """\
from zerg.jobs import job_registry, JobConfig
job_registry.register(JobConfig(id="report", cron="0 8 * * *", func=run))
"""
#: The name of the source, a file, and what comes after it that is not mapped.
SOURCES = [
    ("kubernetes", "cronjob.yaml", CRON_JOB, "---\nkind: Kustomization\n"),
    ("scheduler-yaml", "scheduler.yaml", SCHEDULER, "extra: 1\n"),
    ("alerts-yaml", "alerts.yaml", ALERTS, "extra: 1\n"),
    ("manifest", "manifest.py", MANIFEST, "setup(job_registry)\n"),
]


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(afterrun, [*map(str, arguments)], input=stdin)


@pytest.mark.parametrize(("source", "name", "text", "more"), SOURCES)
def test_a_source_is_printed_checked_and_added_once(
    source: str,
    name: str,
    text: str,
    more: str,  # noqa: ARG001 - of the same table
    tmp_path: Path,
) -> None:
    (tmp_path / name).write_text(text)
    config = tmp_path / "afterrun.yml"
    config.write_text("# ours\nlabels: [region]\njobs:\n  own: {every: 1h}\n")

    printed = run("import", source, tmp_path)
    piped = run("import", source, "-", stdin=text)
    first = run("import", source, tmp_path / name, "--into", config)
    merged = config.read_text()
    second = run("import", source, tmp_path / name, "--into", config)

    assert [one.exit_code for one in (printed, piped, first, second)] == [0] * 4
    assert f"{name}, line " in printed.stdout
    assert piped.stdout == printed.stdout.replace(str(tmp_path / name), "stdin")
    assert config.read_text() == merged != ""
    assert run("check", "--config.file", config).exit_code == 0


@pytest.mark.parametrize(("source", "name", "text", "more"), SOURCES)
def test_what_is_not_mapped_is_listed_and_the_rest_is_imported(
    source: str, name: str, text: str, more: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text + more)

    whole = run("import", source, "-", stdin=text)
    partial = run("import", source, "-", stdin=text + more)

    assert (whole.exit_code, whole.stderr) == (0, "")
    assert partial.exit_code == 3
    assert partial.stdout == whole.stdout
    (line,) = partial.stderr.splitlines()
    assert line.startswith(
        f"stdin:{text.count(chr(10)) + 1 + more.startswith('---')}: "
    )


def test_alerts_and_jobs_of_a_worker_are_imported_together(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(ALERTS)
    (tmp_path / "scheduler.yaml").write_text(SCHEDULER)

    result = run("import", "alerts-yaml", tmp_path)

    assert result.exit_code == 0
    assert "daily.report:" in result.stdout
    assert "after_failures: 3" in result.stdout
