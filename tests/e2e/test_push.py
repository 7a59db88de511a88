"""Alerts straight to Alertmanager, beside Prometheus and without it.

Real programs, the shipped rules and Alertmanager configuration.
"""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any, Final

from afterrun_exporter import conventions as names
from tests.patience import PATIENCE

from . import network
from .chain import Chain, Pace, assemble
from .conftest import Launch
from .inbox import ALERTS, posts_in
from .processes import Process
from .story import is_watching

#: Looks of Alertmanager at its groups: more than it has groups here.
ROUNDS: Final = 10

#: Longer than a scrape and an evaluation take here, also on a busy machine. Without
#: Prometheus it may be less, but longer than a group of Alertmanager waits.
RESOLVE_DELAY: Final = 30.0
ALONE: Final = 20.0

#: Nothing more comes after this long: a group is notified every second.
QUIET_SECONDS: Final = 2.5

CONFIG: Final = """\
labels: [team, area]
min_visible: 1s
alertmanager:
  push_to: [{alertmanager}]
  resolve_delay: {delay}s
  group_interval: 1s
jobs:
  backup: {{severity: critical, labels: {{team: data}}, rules: [rows > 0]}}
  sync: {{labels: {{team: sync}}}}
  ingest: {{labels: {{team: ingest}}}}
"""

#: Prometheus sees late what has changed, and says what it thinks at every evaluation
#: instead of once a minute: where it contradicts us, it does so at once.
SLOW_AND_INSISTENT: Final = Pace(scrape="4s", evaluation="2s", resend="1s")

FAILED: Final = {"status": "fail"}
GOOD: Final = {"metrics": {"rows": 1}}
EMPTY: Final = {"metrics": {"rows": 0}}

log = logging.getLogger(__name__)


def pushing(home: Path, resolve_delay: float) -> Chain:
    """Return the chain with a daemon that pushes; nothing is running yet."""
    config = home / "afterrun.yml"
    chain = assemble(home, config, SLOW_AND_INSISTENT)
    url = chain.alertmanager_url
    config.write_text(CONFIG.format(alertmanager=url, delay=int(resolve_delay)))
    return chain


def everything_but_prometheus(chain: Chain) -> tuple[Process, ...]:
    """Return the programs in the order in which they are to be started."""
    return (
        chain.mail_server,
        chain.webhook_receiver,
        chain.alertmanager,
        chain.daemon,
    )


def report(chain: Chain, job: str, body: dict[str, Any]) -> float:
    """Report a run; return when that was answered."""
    request = urllib.request.Request(  # noqa: S310
        f"{chain.daemon_url}/ping/{job}", json.dumps(body).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        assert answer.status == 200
    return time.time()


def posts(chain: Chain, job: str) -> list[tuple[str, float]]:
    """Return what the webhook was told about *job*, and when."""
    return [
        (post["body"]["status"], post["at"])
        for post in posts_in(chain.inbox.posted)
        if post["path"] == ALERTS
        and post["body"]["alerts"][0]["labels"].get(names.JOB) == job
    ]


def told(chain: Chain, job: str) -> list[str]:
    """Return what the webhook was told about *job*."""
    return [status for status, _ in posts(chain, job)]


def alerts(chain: Chain, job: str) -> list[dict[str, Any]]:
    """Return what Alertmanager has about *job*, for all to see."""
    url = f"{chain.alertmanager_url}/api/v2/alerts?filter=job_name%3D{job}"
    found: list[dict[str, Any]] = json.loads(network.get(url) or b"[]")
    return found


def outbox(tmp_path: Path) -> list[Any]:
    """Return what is still to be told."""
    with closing(connect(tmp_path / "afterrun.db")) as database:
        return database.execute("SELECT job FROM outbox").fetchall()


def waited(condition: Callable[[], object]) -> bool:
    """Return whether *condition* came true in time."""
    return bool(network.wait_for(lambda: bool(condition())))


def counted(chain: Chain, metric: str) -> float:
    """Return the sum of the series of *metric* of Alertmanager."""
    return network.total(chain.alertmanager_url, metric)


def wait_until_noted(chain: Chain) -> None:
    """Wait until Alertmanager itself knows whom it has notified.

    It notes that after the answer of the receiver, and before it looks at the same group
    again: stopped in between, it does not notify of the end.
    """
    assert waited(
        lambda: counted(chain, "alertmanager_notification_latency_seconds_count")
    )
    before = counted(chain, "alertmanager_nflog_queries_total")
    assert waited(
        lambda: counted(chain, "alertmanager_nflog_queries_total") > before + ROUNDS
    )


def test_prometheus_and_we_are_one_alert(launch: Launch, tmp_path: Path) -> None:
    """One message that it broke, without Prometheus, and one that it is over; no more."""
    chain = pushing(tmp_path, RESOLVE_DELAY)
    for process in everything_but_prometheus(chain):
        launch(process)
    firing = f'ALERTS{{alertname="{names.JOB_RULE_VIOLATED}",alertstate="firing"}}'

    answered = report(chain, "backup", EMPTY)
    assert waited(lambda: told(chain, "backup"))
    ((status, notified),) = posts(chain, "backup")
    log.info("from the ping's answer to the webhook: %.3f s", notified - answered)
    assert status == "firing"

    launch(chain.prometheus)
    assert waited(lambda: is_watching(chain.prometheus_url))
    # Prometheus has its say, and says the same.
    assert waited(lambda: network.query(chain.prometheus_url, firing))
    time.sleep(QUIET_SECONDS)

    def seen() -> list[dict[str, str]]:
        return [
            {
                name: value
                for name, value in series["metric"].items()
                if name not in {"__name__", "alertstate"}
            }
            for series in network.query(chain.prometheus_url, firing)
        ]

    (alert,) = alerts(chain, "backup")
    assert network.wait_for_value(seen, [alert["labels"]]) == [alert["labels"]]

    report(chain, "backup", GOOD)
    assert waited(lambda: len(told(chain, "backup")) == 2)
    assert waited(lambda: not outbox(tmp_path))
    time.sleep(QUIET_SECONDS)
    assert told(chain, "backup") == ["firing", "resolved"]


def test_nothing_is_lost_while_alertmanager_is_down(
    launch: Launch, tmp_path: Path
) -> None:
    """Nor with the daemon, which is killed meanwhile. There is no Prometheus here.

    One job fails, another fails and recovers; a third recovers from what
    Alertmanager had been told before it went.
    """
    chain = pushing(tmp_path, ALONE)
    for process in everything_but_prometheus(chain):
        launch(process)
    report(chain, "ingest", FAILED)
    assert waited(lambda: told(chain, "ingest") == ["firing"])
    wait_until_noted(chain)
    chain.alertmanager.stop()

    report(chain, "backup", FAILED)
    report(chain, "sync", FAILED)
    report(chain, "sync", GOOD)
    report(chain, "ingest", GOOD)
    chain.daemon.kill()
    assert len(outbox(tmp_path)) == 3
    chain.daemon.start()
    chain.alertmanager.start()

    assert waited(lambda: told(chain, "backup") and told(chain, "sync"))
    assert waited(lambda: outbox(tmp_path) == [("backup",)])
    assert waited(lambda: len(told(chain, "sync")) == 2)
    assert waited(lambda: len(told(chain, "ingest")) == 2)
    time.sleep(QUIET_SECONDS)
    assert told(chain, "backup") == ["firing"]
    assert told(chain, "sync") == ["firing", "resolved"]
    assert told(chain, "ingest") == ["firing", "resolved"]
