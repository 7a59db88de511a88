"""Each alert fires and resolves: real programs, and the files that were generated.

Everything about jobs goes wrong at once, and is mended; then, one after the other,
what can go wrong with the exporter itself.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from afterrun_exporter import conventions as names
from afterrun_exporter.clock import SystemClock
from tests.patience import PATIENCE

from . import network
from .conftest import Launch
from .generated import Generated, assemble

CONFIG: Final = Path(__file__).with_name("every_alert.yml")


FIRING: Final = "firing"
RESOLVED: Final = "resolved"

#: The alerts about jobs, and the job that has each.
ABOUT_JOBS: Final = {
    (names.JOB_FAILING, "fails"),
    (names.JOB_FAILING, "is-special"),
    (names.JOB_RULE_VIOLATED, "breaks-a-rule"),
    (names.JOB_MISSED, "does-not-run"),
    (names.JOB_OVERRUNNING, "runs-too-long"),
    (names.JOB_OVERLAPPING, "runs-twice"),
    (names.JOB_SLOW, "takes-longer"),
    (names.JOB_SUCCESS_RATIO_LOW, "is-flaky"),
    (names.JOB_FAILING, "provides"),
    (names.TEST, "fails"),
}

#: What time alone ends: it may be over before the last of the others is told.
ENDING_BY_THEMSELVES: Final = {
    (names.JOB_SUCCESS_RATIO_LOW, "is-flaky"),
    (names.TEST, "fails"),
}

#: It fails before the job that it requires, so it is notified.
BEFORE: Final = (names.JOB_FAILING, "failed-before")
#: This one causes no notification: it inhibits what that job has already.
INHIBITS: Final = (names.JOB_UPSTREAM_UNHEALTHY, "failed-before")

ABOUT_THE_EXPORTER: Final = (
    names.JOB_DISAPPEARED,
    names.RULES_OUTDATED,
    names.CONFIG_RELOAD_FAILED,
    names.PINGS_REJECTED,
    names.STORAGE_FAILING,
    names.EXPORTER_DOWN,
    names.EXPORTER_ABSENT,
    names.JOBS_UNOBSERVED,
)


@dataclass(slots=True)
class Scene:
    """The chain while the story is told, and what was seen of it."""

    chain: Generated

    def ping(self, job: str, **report: Any) -> int:
        """Report a run; return the status it is answered with."""
        return self.post(f"/ping/{job}", report)

    def post(self, path: str, body: Any) -> int:
        """Post *body* to the daemon; return the status it is answered with."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.chain.daemon_url}{path}", json.dumps(body).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def signal(self, process: str, what: signal.Signals) -> None:
        os.kill(getattr(self.chain, process).pid, what)

    def told(self) -> dict[tuple[str, str], list[str]]:
        """Return, for each alert and job, what the webhook was told, in order."""
        found: dict[tuple[str, str], list[str]] = {}
        for told in self.chain.inbox.sent().notifications:
            for labels in told.alerts:
                key = labels["alertname"], labels.get(names.JOB, "")
                statuses = found.setdefault(key, [])
                # A group may be told again for another alert in it.
                if statuses[-1:] != [told.status]:
                    statuses.append(told.status)
        return found

    def wait_until_told(
        self,
        status: str,
        keys: set[tuple[str, str]],
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Return once the last that was told of all *keys* is *status*."""

        def is_told() -> bool:
            meanwhile()
            told = self.told()
            return all(told.get(key, [])[-1:] == [status] for key in keys)

        network.wait_for(is_told)

    def firing(self) -> set[tuple[str, str]]:
        """Return what fires in Prometheus now, by alert and job."""
        found = network.query(self.chain.prometheus_url, 'ALERTS{alertstate="firing"}')
        metrics = [series["metric"] for series in found]
        return {(one["alertname"], one.get(names.JOB, "")) for one in metrics}


@pytest.fixture(scope="module")
def scene(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The whole story, told once."""
    chain = assemble(tmp_path_factory.mktemp("alerts"), CONFIG.read_text())
    for process in (chain.webhook, chain.alertmanager, chain.daemon):
        launch(process)
    scene = Scene(chain)
    assert scene.post("/api/v1/jobs/was-due/pause", {}) == 200
    launch(chain.prometheus)
    network.wait_for(lambda: (names.WATCHDOG, "") in scene.firing())
    return scene


@pytest.fixture(scope="module")
def trouble_with_jobs(scene: Scene) -> Scene:
    """All that can go wrong with jobs, at once; then it is mended."""
    scene.ping("failed-before", status="fail")
    scene.wait_until_told(FIRING, {BEFORE})
    scene.ping("provides", status="fail")
    network.wait_for(lambda: INHIBITS in scene.firing())
    scene.ping("builds-on-it", status="fail")
    for job in ("fails", "is-special"):
        scene.ping(job, status="fail")
    scene.ping("breaks-a-rule", metrics={"rows": 0})
    scene.ping("runs-too-long", status="start", run_id="a")
    for run in "ab":
        tenant = {"metadata": {"tenant_id": "acme"}, "run_id": run}
        scene.ping("runs-twice", status="start", **tenant)
    scene.ping("takes-longer", duration_seconds=1, run_id="a")
    scene.ping("takes-longer", duration_seconds=5, run_id="b")
    scene.wait_until_told(FIRING, ABOUT_JOBS - ENDING_BY_THEMSELVES)
    for run in "ab":
        scene.ping("is-flaky", status="fail", run_id=run)
    assert scene.post("/api/v1/alerts/test", {"job": "fails", "for": "35s"}) == 202
    return scene


@pytest.fixture(scope="module")
def mended_jobs(trouble_with_jobs: Scene) -> Scene:
    """They all run well; what is flaky is left to time."""
    scene = trouble_with_jobs
    for job in ("fails", "is-special", "provides"):
        scene.ping(job)
    scene.ping("breaks-a-rule", metrics={"rows": 1})
    scene.ping("runs-too-long", run_id="a")
    for run in "ab":
        scene.ping("runs-twice", run_id=run)
    scene.ping("takes-longer", duration_seconds=1, run_id="c")
    scene.wait_until_told(RESOLVED, ABOUT_JOBS, lambda: scene.ping("does-not-run"))
    # Its turn is over.
    assert scene.post("/api/v1/jobs/does-not-run/pause", {}) == 200
    for job in ("builds-on-it", "failed-before"):
        scene.ping(job)
    network.wait_for(lambda: INHIBITS not in scene.firing())
    return scene


def test_every_alert_about_jobs_is_told_and_so_is_its_end(mended_jobs: Scene) -> None:
    """One condition, one message, and one when it is over."""
    told = mended_jobs.told()

    assert {key: told.get(key) for key in ABOUT_JOBS} == {
        key: [FIRING, RESOLVED] for key in ABOUT_JOBS
    }


def test_the_labels_of_a_job_are_on_its_alert(mended_jobs: Scene) -> None:
    notifications = mended_jobs.chain.inbox.sent().notifications_about("fails")

    labels = [one for told in notifications for one in told.alerts]
    assert {one["team"] for one in labels} == {"data"}


def test_an_alert_that_another_job_is_to_blame_for_is_held_back(
    mended_jobs: Scene,
) -> None:
    """One that fired before goes on, inhibited; no other one fires."""
    told = mended_jobs.told()
    fired = network.query(
        mended_jobs.chain.prometheus_url,
        f'max_over_time(ALERTS{{{names.JOB}=~"builds-on-it|failed-before"}}[1h])',
    )

    assert {(s["metric"]["alertname"], s["metric"][names.JOB]) for s in fired} == {
        BEFORE,
        INHIBITS,
    }
    assert not [key for key in told if key[1] == "builds-on-it"]
    assert told[BEFORE][0] == FIRING


def test_a_job_with_alerting_rules_of_its_own_fires_once(mended_jobs: Scene) -> None:
    """The generic ones leave it out."""
    loaded = network.get(f"{mended_jobs.chain.prometheus_url}/api/v1/rules")
    assert loaded is not None
    groups = {group["name"] for group in json.loads(loaded)["data"]["groups"]}
    fired = network.query(
        mended_jobs.chain.prometheus_url,
        f'count(max_over_time(ALERTS{{{names.JOB}="is-special"}}[1h]))',
    )

    assert "afterrun-job-is-special" in groups
    assert [series["value"][1] for series in fired] == ["1"]


@pytest.fixture(scope="module")
def trouble_with_the_exporter(mended_jobs: Scene) -> Scene:
    """One after the other; what time alone ends is waited for together."""
    scene = mended_jobs
    chain = scene.chain
    good = chain.config.read_text()

    # A job leaves, and with it the configuration is another one.
    chain.config.write_text(re.sub("  breaks-a-rule:.*\n", "", good))
    scene.signal("daemon", signal.SIGHUP)
    gone = {(names.JOB_DISAPPEARED, "breaks-a-rule")}
    scene.wait_until_told(FIRING, {*gone, (names.RULES_OUTDATED, "")})

    chain.config.write_text("jobs: [")
    scene.signal("daemon", signal.SIGHUP)
    scene.wait_until_told(FIRING, {(names.CONFIG_RELOAD_FAILED, "")})

    chain.config.write_text(good)
    scene.signal("daemon", signal.SIGHUP)
    scene.wait_until_told(
        RESOLVED,
        {*gone, (names.RULES_OUTDATED, ""), (names.CONFIG_RELOAD_FAILED, "")},
    )

    def rejected() -> bool:
        assert scene.ping("-no-name") == 400
        return scene.told().get((names.PINGS_REJECTED, "")) == [FIRING]

    network.wait_for(rejected)

    _, most = resource.prlimit(chain.daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(chain.daemon.pid, resource.RLIMIT_FSIZE, (0, most))

    def refused() -> bool:
        assert scene.ping("fails") == 503
        return scene.told().get((names.STORAGE_FAILING, "")) == [FIRING]

    network.wait_for(refused)
    unlimited = (resource.RLIM_INFINITY, most)
    resource.prlimit(chain.daemon.pid, resource.RLIMIT_FSIZE, unlimited)
    # Both are over once their windows have passed.
    scene.wait_until_told(
        RESOLVED, {(names.PINGS_REJECTED, ""), (names.STORAGE_FAILING, "")}
    )

    assert scene.post("/api/v1/jobs/was-due/resume", {}) == 200
    due = SystemClock().now() + 31
    chain.daemon.kill()
    scene.wait_until_told(FIRING, {(names.EXPORTER_DOWN, "")})
    network.wait_for(lambda: SystemClock().now() > due)
    chain.daemon.start()
    both = {(names.EXPORTER_DOWN, ""), (names.JOBS_UNOBSERVED, "")}
    scene.wait_until_told(RESOLVED, both)

    prometheus = chain.directory / "prometheus.yml"
    scraped = prometheus.read_text()
    without = yaml.safe_load(scraped)
    # The job stays: without it Prometheus would remember its series for a while.
    without["scrape_configs"][0]["static_configs"] = []
    prometheus.write_text(yaml.safe_dump(without))
    scene.signal("prometheus", signal.SIGHUP)
    scene.wait_until_told(FIRING, {(names.EXPORTER_ABSENT, "")})
    prometheus.write_text(scraped)
    scene.signal("prometheus", signal.SIGHUP)
    scene.wait_until_told(RESOLVED, {(names.EXPORTER_ABSENT, "")})
    return scene


@pytest.mark.parametrize("alert", ABOUT_THE_EXPORTER)
def test_every_alert_about_the_exporter_is_told_and_so_is_its_end(
    trouble_with_the_exporter: Scene, alert: str
) -> None:
    told = trouble_with_the_exporter.told()

    found = {key: statuses for key, statuses in told.items() if key[0] == alert}
    assert list(found.values()) == [[FIRING, RESOLVED]], found


def test_the_watchdog_never_rests(trouble_with_the_exporter: Scene) -> None:
    """It may take a while: before Prometheus knows of an Alertmanager it tells none."""
    scene, watchdog = trouble_with_the_exporter, (names.WATCHDOG, "")

    scene.wait_until_told(FIRING, {watchdog})

    assert scene.told()[watchdog] == [FIRING]


def test_no_alert_is_left_out() -> None:
    """A new one is tried here, too."""
    tried = {alert for alert, _ in ABOUT_JOBS} | {INHIBITS[0], *ABOUT_THE_EXPORTER}
    # These have tests of their own: the watchdog here, the others beside the posting
    # of alerts, the receivers of single jobs, the storms and promtool's.
    elsewhere = {
        names.WATCHDOG,
        names.PUSH_FAILING,
        names.JOB_SUCCEEDED,
        names.NOTIFICATIONS_DROPPED,
        names.NOTIFICATION_QUEUE_SMALL,
        names.SCRAPED_TWICE,
        names.CLOCK_SKEWED,
        names.FILE_MISSING,
        names.CONFIG_FETCH_FAILING,
        names.REPLICA_DOWN,
        names.REPLICA_STORAGE_FAILING,
        names.REPLICA_LAGGING,
        names.REPLICA_CLOCK_OFF,
        names.LEADER_MISSING,
    }

    every = {
        value
        for value in vars(names).values()
        if isinstance(value, str) and value.startswith("AfterRun")
    }
    assert tried | elsewhere == every
