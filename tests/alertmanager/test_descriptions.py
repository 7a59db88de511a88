"""One alert has one text: what is posted is what Prometheus expands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from afterrun_exporter import conventions as names
from afterrun_exporter.alertmanager import alerts
from afterrun_exporter.alertmanager.descriptions import current_annotations
from afterrun_exporter.config import parse
from afterrun_exporter.core.model import Condition, Job, Kind, Outcome, Ping, Settings
from afterrun_exporter.core.notifications import AlertNotification, Stage
from afterrun_exporter.core.state import AlertKey, JobState, OpenAlert
from afterrun_exporter.core.transitions import on_clock, on_ping, registered
from afterrun_exporter.rulegen import annotations as says
from afterrun_exporter.rulegen import prometheus, render
from tests.copies import replace
from tests.exposition.rendered import render as exposed

URL: Final = "https://afterrun.example/ops"
SILENCES: Final = "https://alerts.example.com/am"
HOUR: Final = 3600.0
#: When everything has happened, hours after the epoch, where promtool's time begins.
END: Final = 9 * HOUR
SETTINGS: Final = Settings()
CONFIG: Final = parse("""
labels: [team]
jobs:
  missed: {schedule: "0 2 * * *", grace: 30m}
  failed: {labels: {team: data}, description: "Copy it.\n\nAnd more."}
  failed-first: {}
  failed-thrice: {}
  timed-out: {}
  partial: {}
  unreadable: {}
  odd-exit: {}
  recovering: {alerts: {recover_after: 2}}
  rows: {rules: [rows > 0]}
  size: {rules: [size > 1MiB]}
  close: {rules: ["size > 1.2KiB"]}
  shrunk: {rules: ["size_bytes >= 0.5 * previous"]}
  large: {rules: ["size <= 1.5TB"]}
  took: {rules: [duration < 10m]}
  quick: {rules: ["latency < 5ms"]}
  share: {rules: [error_ratio <= 5%]}
  named: {rules: [{expr: file_size_bytes between 1KiB and 4KiB, name: sane-size}]}
  halved: {rules: [rows >= 0.5 * previous]}
  silent: {rules: [rows > 0]}
  text: {rules: ['status_text == "done"']}
  overrunning: {max_runtime: 1h}
  quiet: {heartbeat: 10m}
  overlapping: {concurrency: {max: 1}}
  slow: {alerts: {slower_than: {factor: 2, than: median, over: 7d, min_runs: 3}}}
  ratio: {alerts: {success_ratio: {below: 80%, over: 7d, min_runs: 3}}}
  tested: {}
  told: {}
  special:
    alerting: dedicated
    description: "Copy {{customers}}.\\n\\nAnd more."
    runbook_url: https://wiki.example/special
    rules: [size > 1KiB]
""")
ABOUT_RUNS: Final = {
    "run_id",
    "exit_code",
    "outcome",
    "host",
    "message",
    "job_description",
}


class Story:
    """A job and what it reported, by the hour."""

    def __init__(self, name: str) -> None:
        self.job: Job = CONFIG.jobs[name]
        self.state: JobState = registered(self.job, HOUR)

    def ping(self, hour: float, kind: Kind = Kind.FINISH, **more: Any) -> Story:
        at = hour * HOUR
        mark = repr((hour, sorted(more))).encode()
        ping = Ping(job=self.job.name, kind=kind, at=at, fingerprint=mark)
        changed = replace(ping, **more)
        self.state = on_ping(self.job, self.state, changed, SETTINGS, ()).state
        return self

    def fail(self, hour: float, outcome: Outcome = Outcome.FAIL, **more: Any) -> Story:
        return self.ping(hour, outcome=outcome, **more)

    def rows(self, hour: float, **metrics: float) -> Story:
        return self.ping(hour, metrics=metrics)

    def took(self, hour: float, seconds: float) -> Story:
        return self.ping(hour, duration=seconds)

    def start(self, hour: float, **more: Any) -> Story:
        return self.ping(hour, Kind.START, **more)

    def clock(self) -> Story:
        self.state = on_clock(self.job, self.state, END, SETTINGS, ()).state
        return self

    def with_alert(self, condition: Condition) -> Story:
        alert = OpenAlert(key=AlertKey(condition), opened_at=HOUR, shown_at=HOUR)
        self.state = replace(self.state, alerts=(alert,))
        return self


def stories() -> Iterable[Story]:
    yield Story("missed").clock()
    about = '{"host": "db1", "git_sha": "abc"}'
    yield (
        Story("failed")
        .ping(2)
        .fail(3.5, exit_code=137, run_id="r-1", message="disk full", metadata=about)
    )
    yield Story("failed-first").fail(2, exit_code=0)
    yield Story("failed-thrice").ping(2).fail(3).fail(4).fail(5.25, exit_code=1)
    yield Story("timed-out").fail(2, Outcome.TIMEOUT, exit_code=124)
    yield Story("partial").fail(2, Outcome.PARTIAL)
    yield Story("unreadable").fail(2, Outcome.INVALID)
    yield Story("odd-exit").fail(2, exit_code=-1073741819)
    yield Story("recovering").fail(2).ping(3)
    yield Story("rows").rows(2, rows=0)
    yield Story("size").rows(2, size=1213)
    yield Story("close").rows(2, size=1213)
    yield Story("shrunk").rows(2, size_bytes=1_023_999).rows(3, size_bytes=100_000)
    yield Story("large").rows(2, size=2.5e12)
    yield Story("took").took(2, 3725.5)
    yield Story("quick").rows(2, latency=0.0123456)
    yield Story("share").rows(2, error_ratio=0.07)
    yield Story("named").rows(2, file_size_bytes=2.0**20)
    yield Story("halved").rows(2, rows=120).rows(3, rows=31)
    yield Story("silent").rows(2, rows=5).rows(3, other=1)
    yield Story("text").ping(2, metadata='{"status_text": "half"}')
    yield Story("overrunning").start(2).clock()
    yield Story("quiet").start(2).ping(2.1, Kind.PROGRESS).clock()
    yield Story("overlapping").start(2, run_id="a").start(2.5, run_id="b")
    slow = Story("slow")
    for hour in (2, 3, 4, 5):
        slow.took(hour, 60)
    yield slow.took(6, 400)
    ratio = Story("ratio")
    for hour in (2, 3, 4, 5):
        ratio.ping(hour).fail(hour + 0.5)
    yield ratio.ping(6)
    yield Story("tested").with_alert(Condition.TEST)
    yield Story("told").with_alert(Condition.SUCCEEDED)
    yield Story("special").rows(2, size=1000)


def posted(story: Story) -> list[Mapping[str, Any]]:
    """Return the alerts as they are posted to Alertmanager."""
    notices = alerts.holding(story.job, story.state, [("job", "afterrun")])
    return [posted_one(story, notice) for notice in notices]


def posted_one(story: Story, notice: AlertNotification) -> Mapping[str, Any]:
    known = current_annotations(story.job, story.state, notice, SETTINGS)
    return alerts.message(notice, Stage.FIRING, END, END + HOUR, URL, known, SILENCES)


def series(told: Iterable[Story]) -> list[dict[str, str]]:
    """Return the samples of a scrape for promtool, the same at all times."""
    text = exposed([(story.job, story.state) for story in told], SETTINGS).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    lines.append("afterrun_build_info 1")
    found = []
    for line in lines:
        name, _, rest = line.partition("{")
        if rest:
            labels, value = re.fullmatch(r"(.*)\} (\S+)", rest).groups()  # type: ignore[union-attr]
        else:
            labels, value = "", line.split()[1]
            name = line.split()[0]
        target = 'job="afterrun",instance="a:1"'
        labels = f"{labels},{target}" if labels else target
        every = " ".join([value] * 59)
        found.append({"series": f"{name}{{{labels}}}", "values": every})
    return found


def test_posted_and_scraped_alerts_have_the_same_labels_and_texts(
    tmp_path: Path,
) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: run make test, it installs it"
    told = list(stories())
    rules = prometheus.rules_file(CONFIG.jobs.values(), "", URL, SILENCES)
    (tmp_path / "rules.yml").write_text(render.to_yaml(rules))
    expected: dict[str, list[Any]] = {}
    for story in told:
        for alert in posted(story):
            labels = dict(alert["labels"])
            known = dict(alert["annotations"].items())
            same = {k: v for k, v in known.items() if k not in ABOUT_RUNS}
            one = {"exp_labels": labels, "exp_annotations": same}
            expected.setdefault(labels.pop("alertname"), []).append(one)
    case = {
        "interval": "10m",
        "input_series": series(told),
        "alert_rule_test": [
            {"eval_time": f"{END / 60:.0f}m", "alertname": name, "exp_alerts": alike}
            for name, alike in expected.items()
        ],
    }
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "10m", "tests": [case]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))

    result = subprocess.run(
        [promtool, "test", "rules", tmp_path / "tests.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    waits = names.JOB_UPSTREAM_UNHEALTHY
    assert set(expected) == set(names.ALERT_OF.values()) - {waits}


def test_the_text_of_a_job_that_waits_is_that_of_the_rule() -> None:
    """Which does not fire on its own: it inhibits another alert."""
    story = Story("failed").with_alert(Condition.UPSTREAM_UNHEALTHY)

    (alert,) = posted(story)

    told = says.UPSTREAM_UNHEALTHY.replace("{{ $labels.job_name }}", "failed")
    assert alert["annotations"]["description"] == told


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "missed",
            "no run finished by 1970-01-01 02:30:00 UTC.",
        ),
        (
            "failed",
            "failed with exit code 137; last ok run at 1970-01-01 02:00:00 UTC.",
        ),
        ("failed-first", "failed with exit code 0; no ok run so far."),
        (
            "failed-thrice",
            (
                "3 runs in a row were not ok, the last one failed with exit code 1; last ok "
                "run at 1970-01-01 02:00:00 UTC."
            ),
        ),
        ("odd-exit", "failed; no ok run so far."),
        ("rows", "rows was 0, expected > 0."),
        ("size", "size was 1.2 KiB, expected > 1 MiB."),
        ("took", "duration was 1h2m5s, expected < 10m."),
        ("quick", "latency was 12.35ms, expected < 5ms."),
        ("share", "error_ratio was 7%, expected <= 5%."),
        ("named", "file_size_bytes was 1 MiB, expected <= 4 KiB (rule sane-size)."),
        ("halved", "rows was 31, expected >= 60 (rule rows >= 0.5 * previous)."),
        ("silent", "rows was not reported, expected > 0."),
        ("text", 'status_text broke the rule status_text == "done".'),
        ("slow", "took 6m40s, usually 1m (limit 2m)."),
        (
            "overrunning",
            "still running, should have finished by 1970-01-01 03:00:00 UTC.",
        ),
        ("quiet", "still open, no sign of life by 1970-01-01 02:16:00 UTC."),
        ("close", "size was 1.185 KiB, expected > 1.2 KiB."),
        (
            "shrunk",
            "size_bytes was 97.7 KiB, expected >= 500 KiB (rule size_bytes >= 0.5 * previous).",
        ),
        ("overlapping", "2 runs are open at once."),
        ("special", "size was 1000 B, expected > 1 KiB. (Copy {{customers}}.)"),
    ],
)
def test_a_text_begins_with_the_reason(name: str, expected: str) -> None:
    (story,) = (story for story in stories() if story.job.name == name)

    texts = [alert["annotations"]["description"] for alert in posted(story)]

    assert f"{name}: {expected}" in texts


def test_a_posted_alert_says_which_run_it_is_about() -> None:
    """Series have no such values."""
    (story,) = (story for story in stories() if story.job.name == "failed")

    (alert,) = posted(story)

    known = alert["annotations"]
    assert {key: known[key] for key in ABOUT_RUNS} == {
        "run_id": "r-1",
        "exit_code": "137",
        "outcome": "fail",
        "host": "db1",
        "message": "disk full",
        "job_description": "Copy it.",
    }


def test_an_alert_that_is_over_keeps_the_text_it_was_opened_with() -> None:
    story = Story("failed").fail(2, message="disk full")
    (notice,) = alerts.holding(story.job, story.state, [])
    notice = replace(notice, summary="the last run ended with fail: disk full")
    story.ping(3)

    told = posted_one(story, notice)["annotations"]["description"]

    assert told == "failed: the last run ended with fail: disk full."
    assert json.loads(notice.labels)["alertname"] == names.JOB_FAILING
