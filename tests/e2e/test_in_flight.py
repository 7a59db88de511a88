"""A daemon that restarts disturbs no message that Alertmanager is sending."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from . import chain, network
from .conftest import Launch
from .inbox import posts_in
from .processes import Process

#: How long the receiver takes to answer, in seconds: longer than any restart.
SLOW = 300
CONFIG = """\
jobs: {backup: {}}
alertmanager:
  config_file: am/alertmanager.yml
  reload_url: AM/-/reload
  group_wait: 0s
  group_by: [job_name]
  receivers: {oncall: [{webhook: {url: "HOOK/alerts"}}]}
"""


class Scene:
    """A daemon that keeps Alertmanager's file, and a webhook that is slow to answer."""

    def __init__(self, directory: Path, launch: Launch) -> None:
        daemon, alertmanager, hook = (network.free_port() for _ in range(3))
        self.alertmanager_url = chain.url(alertmanager)
        self.file = directory / "am/alertmanager.yml"
        self.posted = directory / "webhook.jsonl"
        text = CONFIG.replace("AM", self.alertmanager_url, 1)
        config = directory / "afterrun.yml"
        config.write_text(text.replace("HOOK", chain.url(hook)))
        script = Path(chain.__file__).with_name("webhook_receiver.py")
        command: list[str | Path] = [
            sys.executable,
            script,
            str(hook),
            self.posted,
            str(SLOW),
        ]
        listens = partial(network.listens, hook)
        launch(Process("webhook", command, directory / "webhook.log", listens))
        self.log = directory / "afterrun.log"
        self.daemon = chain.daemon(directory, config, daemon)
        launch(self.daemon)
        assert network.wait_for(self.file.exists)
        # It does not look for an Alertmanager again.
        assert network.wait_for(self._kept)
        launch(chain.alertmanager(directory, self.file, alertmanager))

    def restart(self) -> None:
        """Restart the daemon; return when it has looked at Alertmanager.

        An Alertmanager without CPU does not answer in time, and the next start counts.
        """

        def has_looked() -> bool:
            self.daemon.stop()
            kept = self._kept()
            self.daemon.start()
            assert network.wait_for(lambda: len(self._kept()) > len(kept))
            return self._kept()[-1] == "reloaded"

        assert network.wait_for(has_looked)

    def post(self, job: str) -> None:
        alert = {"alertname": "AfterRunJobFailing", "job_name": job}
        body = json.dumps([{"labels": {**alert, "severity": "warning"}}]).encode()
        headers = {"Content-Type": "application/json"}
        url = f"{self.alertmanager_url}/api/v2/alerts"
        urllib.request.urlopen(urllib.request.Request(url, body, headers)).close()  # noqa: S310

    def reload_by_hand(self) -> None:
        url = f"{self.alertmanager_url}/-/reload"
        urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()  # noqa: S310

    def told(self) -> list[str]:
        """Return the job of each alert in each message, in order."""
        posts = posts_in(self.posted)
        alerts = (alert for post in posts for alert in post["body"]["alerts"])
        return [alert["labels"]["job_name"] for alert in alerts]

    def metric(self, name: str) -> float:
        value = network.total(self.alertmanager_url, name)
        assert value, f"Alertmanager has no {name}"
        return value

    def _kept(self) -> list[str]:
        """Return the result of each look at the file and at Alertmanager."""
        return re.findall(
            r"alertmanager_file_kept\b.* applied=(\w+)", self.log.read_text()
        )


LOADED_AT = "alertmanager_config_last_reload_success_timestamp_seconds"
HASH = "alertmanager_config_hash"


@pytest.fixture
def scene(tmp_path: Path, launch: Launch) -> Scene:
    return Scene(tmp_path, launch)


def test_a_message_in_flight_is_sent_once(scene: Scene) -> None:
    loaded_at = scene.metric(LOADED_AT)
    scene.post("backup")
    assert network.wait_for(scene.told)

    scene.restart()
    # A reload sends at once what was in flight, before what comes after it.
    scene.post("other")
    assert network.wait_for(lambda: "other" in scene.told())

    assert scene.metric(LOADED_AT) == loaded_at
    assert scene.told().count("backup") == 1


def test_a_configuration_that_was_changed_by_hand_is_put_right(scene: Scene) -> None:
    right, right_hash = scene.file.read_bytes(), scene.metric(HASH)
    scene.file.write_bytes(right.replace(b"4h", b"8h"))
    scene.reload_by_hand()
    changed = scene.metric(HASH)

    scene.restart()

    assert changed != right_hash
    assert (scene.file.read_bytes(), scene.metric(HASH)) == (right, right_hash)


def test_an_older_configuration_in_memory_is_replaced(scene: Scene) -> None:
    """The file on disk is right, and Alertmanager has not read it."""
    right, right_hash = scene.file.read_bytes(), scene.metric(HASH)
    scene.file.write_bytes(right.replace(b"4h", b"8h"))
    scene.reload_by_hand()
    scene.file.write_bytes(right)
    older = scene.metric(HASH)

    scene.restart()

    assert older != right_hash
    assert scene.metric(HASH) == right_hash
