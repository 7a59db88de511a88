"""Receivers added over the API reach a real Alertmanager, which may refuse them."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE

from . import network
from .conftest import Launch
from .inbox import posts_in
from .processes import Process, installed

#: Whoever would be told again after a reload has been by then.
GROUP_WAIT = 3.5

BASE = """\
route: {receiver: everybody}
receivers: [{name: everybody}]
"""
#: It is YAML, and names a receiver that there is not.
BAD_BASE = BASE.replace("name: everybody", "name: nobody")

LOADED = "alertmanager_config_last_reload_successful"


@dataclass(frozen=True, slots=True)
class Scene:
    """A daemon that keeps the configuration of an Alertmanager, and who is told."""

    daemon: str
    alertmanager: str
    #: Where somebody listens to webhooks.
    webhook: str
    posted: Path
    config: Path
    base: Path
    #: The log of the daemon.
    log: Path

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and the body that the daemon answers.

        While Alertmanager has no CPU and is too late for the daemon, nothing changes:
        it is asked again.
        """

        def answer() -> tuple[int, Any] | None:
            status, found = request(method, f"{self.daemon}{path}", body)
            is_late = status == 502 and "no answer within" in found["detail"]
            return None if is_late else (status, found)

        final = network.wait_for(answer)
        assert final is not None, "Alertmanager does not answer"
        return final

    def reload(self) -> None:
        """Let the daemon read its configuration, and Alertmanager too."""

        def is_answered() -> bool:
            late = self.log.read_text().count("alertmanager_not_reloaded")
            asked = urllib.request.Request(f"{self.daemon}/-/reload", method="POST")  # noqa: S310
            with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310
                assert answer.status == 200
            return self.log.read_text().count("alertmanager_not_reloaded") == late

        assert network.wait_for(is_answered), "Alertmanager does not answer"

    def until_noted(self) -> None:
        """Wait until Alertmanager has the answers to all that it has posted.

        A reload repeats what has none.
        """
        answered = "alertmanager_notification_latency_seconds_count"
        assert network.wait_for(
            lambda: (
                network.total(self.alertmanager, answered) >= len(posts_in(self.posted))
            )
        )

    def alert(self, **labels: str) -> None:
        """Let an alert of the backup fire, as Prometheus would."""
        alert = {"labels": {"job": "afterrun", "job_name": "backup", **labels}}
        status, _ = request("POST", f"{self.alertmanager}/api/v2/alerts", [alert])
        assert status == 200

    def told(self, path: str) -> list[Any]:
        """Return what was posted to *path*."""
        return [post["body"] for post in posts_in(self.posted) if post["path"] == path]


def request(method: str, url: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, launch: Launch) -> Scene:
    """The daemon starts first: Alertmanager's configuration comes from it."""
    directory = tmp_path_factory.mktemp("receivers")
    ports = [network.free_port() for _ in range(3)]
    daemon, alertmanager, webhook = (f"http://{network.LOOPBACK}:{p}" for p in ports)
    config = directory / "alertmanager" / "alertmanager.yml"
    base = directory / "base.yml"
    base.write_text(BASE)
    afterrun = directory / "afterrun.yml"
    afterrun.write_text(
        "jobs: {backup: {every: 1h}}\n"
        f"alertmanager: {{push_to: ['{alertmanager}'], config_file: {config}, base: {base}, "
        f"reload_url: '{alertmanager}/-/reload',\n"
        f"  receivers: {{oncall: [{{webhook: {{url: '{webhook}/oncall'}}}}]}}}}\n"
    )
    posted = directory / "webhook.jsonl"
    script = Path(__file__).with_name("webhook_receiver.py")
    launch(
        Process(
            "webhook",
            [sys.executable, script, str(ports[2]), posted],
            directory / "webhook.log",
            partial(network.listens, ports[2]),
        )
    )
    launch(
        Process(
            "afterrun",
            [
                Path(sys.executable).with_name("afterrun"),
                "serve",
                f"--config.file={afterrun}",
                f"--storage.path={directory / 'afterrun.db'}",
                f"--web.listen-address={network.LOOPBACK}:{ports[0]}",
            ],
            directory / "afterrun.log",
            lambda: network.get(f"{daemon}/-/ready") is not None and config.exists(),
        )
    )
    launch(
        Process(
            "alertmanager",
            [
                installed("prometheus-alertmanager", "alertmanager"),
                f"--config.file={config}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address={network.LOOPBACK}:{ports[1]}",
                "--cluster.listen-address=",
            ],
            # Elsewhere than its configuration: it is to find its secrets anyway.
            directory / "alertmanager.log",
            lambda: network.get(f"{alertmanager}/-/ready") is not None,
        )
    )
    log = directory / "afterrun.log"
    return Scene(daemon, alertmanager, webhook, posted, config, base, log)


def test_a_receiver_added_over_the_api_is_told(scene: Scene) -> None:
    """By Alertmanager, which knows of it as soon as the answer is there."""
    wanted = {"alert_type": "webhook", "target": f"{scene.webhook}/backup"}

    status, added = scene.ask("POST", "/api/v1/jobs/backup/receivers", wanted)
    scene.alert(alertname="AfterRunJobFailing", severity="warning")

    assert (status, added["applied"]) == (201, "reloaded")
    (post,) = network.wait_for(lambda: scene.told("/backup"))
    assert post["alerts"][0]["labels"]["alertname"] == "AfterRunJobFailing"
    assert scene.ask("DELETE", f"/api/v1/receivers/{added['id']}") == (204, None)
    assert "/backup" not in scene.config.read_text()


OFF = dict.fromkeys(("on_failure", "on_timeout", "on_violation", "on_missed"), False)


@pytest.mark.parametrize(
    ("job", "switch", "reports", "alert"),
    [
        # The fail is told to nobody: on_failure is off.
        ("killed", "on_timeout", ["fail", "timeout"], "AfterRunJobFailing"),
        ("works", "on_success", ["fail", "ok"], "AfterRunJobSucceeded"),
    ],
)
def test_a_receiver_is_told_of_what_its_switch_names_by_pushed_alerts(
    scene: Scene, job: str, switch: str, reports: list[str], alert: str
) -> None:
    scene.ask("POST", f"/ping/{job}", {"run_id": "before"})
    target = f"{scene.webhook}/{job}"
    wanted = {"alert_type": "webhook", "target": target, **OFF, switch: True}
    status, added = scene.ask("POST", f"/api/v1/jobs/{job}/receivers", wanted)
    assert (status, added["warnings"]) == (201, [])

    for report in reports:
        scene.ask("POST", f"/ping/{job}", {"status": report})
        time.sleep(GROUP_WAIT)

    (post,) = network.wait_for(lambda: scene.told(f"/{job}"))
    assert [one["labels"]["alertname"] for one in post["alerts"]] == [alert]
    assert post["status"] == "firing"
    elsewhere = [one["groupLabels"]["alertname"] for one in scene.told("/oncall")]
    assert "AfterRunJobSucceeded" not in elsewhere


def test_nobody_else_is_told_again_when_receivers_come_and_go(scene: Scene) -> None:
    """The first and the last of them, too, move no route of others."""

    def told(path: str) -> list[Any]:
        label = "AfterRunJobOverrunning"
        return [p for p in scene.told(path) if p["groupLabels"]["alertname"] == label]

    scene.alert(alertname="AfterRunJobOverrunning", severity="warning")
    network.wait_for(lambda: told("/oncall"))
    scene.until_noted()

    wanted = {"alert_type": "webhook", "target": f"{scene.webhook}/first"}
    _, added = scene.ask("POST", "/api/v1/jobs/backup/receivers", wanted)
    network.wait_for(lambda: told("/first"))
    scene.until_noted()
    time.sleep(GROUP_WAIT)
    scene.ask("DELETE", f"/api/v1/receivers/{added['id']}")
    time.sleep(GROUP_WAIT)

    assert len(told("/oncall")) == 1


@pytest.mark.parametrize("kind", ["slack", "discord"])
def test_a_secret_target_is_told_and_stands_in_no_configuration(
    scene: Scene, kind: str
) -> None:
    """Its address is in a file of its own, which Alertmanager reads."""
    target = f"{scene.webhook}/{kind}/s3cret"
    body = {"alert_type": kind, "target": target, "on_missed": False}

    status, added = scene.ask("POST", "/api/v1/jobs/backup/receivers", body)
    scene.alert(alertname="AfterRunJobRuleViolated", severity="warning", rule=kind)

    assert (status, added["applied"]) == (201, "reloaded")
    assert "s3cret" not in scene.config.read_text()
    path = f"/{kind}/s3cret{'/slack' if kind == 'discord' else ''}"
    assert network.wait_for(lambda: scene.told(path))
    assert scene.ask("DELETE", f"/api/v1/receivers/{added['id']}")[0] == 204
    assert not list((scene.config.parent / "secrets").iterdir())


def test_what_alertmanager_refuses_leaves_the_old_in_place(scene: Scene) -> None:
    """The file, what it runs with, and who is stored; the answer has its own words."""
    before = scene.config.read_bytes()
    scene.base.write_text(BAD_BASE)
    wanted = {"alert_type": "webhook", "target": f"{scene.webhook}/refused"}

    status, problem = scene.ask("POST", "/api/v1/jobs/backup/receivers", wanted)
    scene.base.write_text(BASE)

    assert status == 502
    assert 'undefined receiver "everybody" used in route' in problem["detail"]
    assert scene.config.read_bytes() == before
    _, stored = scene.ask("GET", "/api/v1/jobs/backup/receivers")
    assert stored["receivers"] == []
    # The daemon has made it reload the old file.
    assert network.total(scene.alertmanager, LOADED) == 1


def test_a_reload_that_alertmanager_refuses_is_told_to_prometheus(scene: Scene) -> None:
    """The reload itself is a success: pings are judged by the new configuration."""

    def fine() -> bool:
        metrics = network.get(f"{scene.daemon}/metrics") or b""
        line = b"\nafterrun_alertmanager_config_last_reload_successful 1.0\n"
        return line in metrics

    before = fine()
    scene.base.write_text(BAD_BASE)
    scene.reload()
    refused = fine()
    scene.base.write_text(BASE)
    scene.reload()

    assert (before, refused, fine()) == (True, False, True)
