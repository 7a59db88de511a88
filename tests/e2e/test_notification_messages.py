"""What a real Alertmanager mails and posts of groups that change, and of large ones."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter import conventions as names
from tests.patience import PATIENCE

from . import chain, network
from .conftest import Launch
from .inbox import Inbox, Mail, posts_in
from .processes import Process

#: In seconds: Alertmanager waits for so long before the first message of a group, and
#: between two. It takes the alerts of a request one by one, and must not send a message
#: in between: a busy machine needs seconds for a thousand.
INTERVAL = 20
MOST = 100
#: In seconds: after the end of the test.
LATER = 3600
CONFIG = f"""\
labels: [team]
jobs: {{}}
alertmanager:
  smtp: {{smarthost: "MAIL", require_tls: false}}
  receivers:
    oncall:
      - email: oncall@example.com
      - webhook: {{url: "HOOK/alerts", max_alerts: {MOST}}}
  group_wait: {INTERVAL}s
  group_interval: {INTERVAL}s
"""


class Scene:
    """An Alertmanager with generated files, and where its messages come out."""

    def __init__(self, directory: Path, launch: Launch) -> None:
        smtp, hook, port = (network.free_port() for _ in range(3))
        text = CONFIG.replace("MAIL", f"{network.LOOPBACK}:{smtp}")
        (directory / "afterrun.yml").write_text(text.replace("HOOK", chain.url(hook)))
        afterrun = Path(sys.executable).with_name("afterrun")
        command: list[str | Path] = [afterrun, "generate", "alertmanager"]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
        self.inbox = Inbox(directory / "mails", directory / "webhook.jsonl")
        mails: list[str | Path] = [
            *(sys.executable, "-m", "aiosmtpd", "--nosetuid"),
            *("--listen", f"{network.LOOPBACK}:{smtp}"),
            *("--class", "aiosmtpd.handlers.Mailbox", self.inbox.maildir),
        ]
        log = directory / "smtp.log"
        launch(Process("smtp", mails, log, partial(network.listens, smtp)))
        launch(chain.webhook_receiver(directory, hook, self.inbox.posted))
        config = directory / "alertmanager/alertmanager.yml"
        launch(chain.alertmanager(directory, config, port))
        self._url = f"{chain.url(port)}/api/v2/alerts"
        self._now = datetime.now(UTC)

    def elapsed(self) -> float:
        """Return how many seconds ago everything was ready."""
        return (datetime.now(UTC) - self._now).total_seconds()

    def failing(
        self,
        job: str,
        began: float = 0,
        ended: float | None = None,
        name: str = names.JOB_FAILING,
    ) -> dict[str, Any]:
        """Return an alert that begins and ends so many seconds after that."""
        none = name == names.JOB_UPSTREAM_UNHEALTHY
        labels = {"alertname": name, "job": "afterrun", "job_name": job}
        severity = {"severity": names.NO_SEVERITY if none else "critical"}
        # Without an end, Alertmanager ends it after five minutes.
        end = {"endsAt": self._at(LATER if ended is None else ended)}
        return {
            "labels": labels | severity,
            "annotations": {"description": f"{job}: the last run failed."},
            "startsAt": self._at(began),
            **end,
        }

    def _at(self, seconds: float) -> str:
        return (self._now + timedelta(seconds=seconds)).isoformat()

    def post(self, alerts: Sequence[dict[str, Any]]) -> None:
        body = json.dumps(alerts).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310
        urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310

    def mails(self) -> list[Mail]:
        return list(self.inbox.sent().mails)

    def mail(self, words: str) -> Mail:
        """Return the first mail with *words* in its subject, once it is there."""
        found = network.wait_for(
            lambda: [m for m in self.mails() if words in m.subject]
        )
        assert found, [mail.subject for mail in self.mails()]
        return found[0]

    def posts(self) -> list[Any]:
        return [post["body"] for post in posts_in(self.inbox.posted)]

    def jobs(self) -> set[str]:
        """Return the jobs that some message was about."""
        alerts = (alert for post in self.posts() for alert in post["alerts"])
        return {alert["labels"]["job_name"] for alert in alerts}


@pytest.fixture
def scene(tmp_path: Path, launch: Launch) -> Scene:
    return Scene(tmp_path, launch)


def test_a_recovery_that_was_told_is_not_told_as_new(scene: Scene) -> None:
    """Prometheus repeats it for 15 minutes, and each message of the group has it."""
    scene.post([scene.failing("ledger"), scene.failing("orders")])
    assert network.wait_for(lambda: scene.jobs() == {"ledger", "orders"})
    # What began within one interval before the last change counts as new.
    assert network.wait_for(lambda: scene.elapsed() > 2 * INTERVAL)
    ended = scene.elapsed()
    over = scene.failing("orders", ended=ended)
    scene.post([over])
    told = scene.mail("RESOLVED")

    # As Prometheus does, with the next alert of the group.
    scene.post([over, scene.failing("invoices", ended + 2 * INTERVAL)])
    later = scene.mail("invoices")

    assert told.subject == "[RESOLVED] orders: failing, 1 still open"
    assert told.text.startswith("Resolved: orders: failing\n")
    assert later.subject == "[CRITICAL] invoices: the last run failed"
    assert later.text.startswith("invoices: the last run failed.\n")
    assert "Still open:\n  ledger: the last run failed. (since " in later.text
    assert "Resolved: " not in later.text
    assert "Resolved earlier:\n  orders: failing (at " in later.text


def test_a_thousand_recoveries_are_a_short_message(scene: Scene) -> None:
    """Of 10 jobs that failed and 990 that need them, 10 were told; all recover."""
    roots = [f"root-{number}" for number in range(10)]
    children = [f"child-{number}" for number in range(990)]
    held = names.JOB_UPSTREAM_UNHEALTHY

    def state(ended: float | None) -> Iterable[dict[str, Any]]:
        yield from (scene.failing(job, 0, ended, held) for job in children)
        yield from (scene.failing(job, 0, ended) for job in (*roots, *children))

    scene.post(list(state(None)))
    begun = scene.mail("CRITICAL")
    scene.post(list(state(scene.elapsed())))
    over = scene.mail("RESOLVED")

    assert begun.subject.startswith("[CRITICAL] 10 failing, newest: root-")
    assert "child" not in begun.text
    # Alertmanager announces the end of what was inhibited as well.
    assert over.subject.startswith("[RESOLVED] 1,000 failing, newest: ")
    assert "and 980 more resolved" in over.text
    assert len(over.text) + len(over.html) < 20_000
    post = network.wait_for(
        lambda: [p for p in scene.posts() if p["status"] == "resolved"]
    )
    assert (len(post[0]["alerts"]), post[0]["truncatedAlerts"]) == (MOST, 1000 - MOST)
