"""What a real Alertmanager posts to Slack, Discord, PagerDuty and webhooks."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from afterrun_exporter import conventions as names
from tests.patience import PATIENCE

from . import chain, network
from .conftest import Launch
from .inbox import posts_in

CONFIG: Final = """
jobs: {}
alertmanager:
  receivers:
    oncall:
      - slack: {url_file: SECRETS/slack, channel: "#ops"}
      - discord: {url_file: SECRETS/discord}
      - pagerduty: {routing_key_file: SECRETS/pagerduty}
      - webhook: {url: "HOOK/alerts"}
  group_wait: 1s
"""
PAGE: Final = "https://afterrun.example/jobs/backup"
TEXT: Final = "backup: failed with exit code 3; no ok run so far."
ALERT: Final[dict[str, Any]] = {
    "labels": {
        "alertname": names.JOB_FAILING,
        "job": "afterrun",
        "job_name": "backup",
        "severity": "critical",
    },
    "annotations": {
        "description": TEXT,
        "page_url": PAGE,
        "runbook_url": f"{PAGE}/runbook#afterrunjobfailing",
        "run_id": "night-7",
        "exit_code": "3",
        "outcome": "fail",
        "host": "db1",
        "message": "disk <full>",
    },
}
SUBJECT: Final = "[CRITICAL] backup: failed with exit code 3: disk <full>"


@pytest.fixture(scope="module")
def posts(
    launch: Launch, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Return what is posted about one alert, by the path that it is posted to."""
    directory = tmp_path_factory.mktemp("integrations")
    hook, port = network.free_port(), network.free_port()
    for name in ("slack", "discord"):
        (directory / name).write_text(f"{chain.url(hook)}/{name}\n")
    (directory / "pagerduty").write_text("0123456789abcdef0123456789abcdef\n")
    text = CONFIG.replace("SECRETS", str(directory)).replace("HOOK", chain.url(hook))
    (directory / "afterrun.yml").write_text(text)
    afterrun = Path(sys.executable).with_name("afterrun")
    command: list[str | Path] = [afterrun, "generate", "alertmanager"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    config = directory / "alertmanager/alertmanager.yml"
    # Only PagerDuty's own address is fixed.
    ours = f"global:\n  pagerduty_url: {chain.url(hook)}/pagerduty\n"
    config.write_text(config.read_text().replace("global:\n", ours, 1))
    posted = directory / "posted.jsonl"
    launch(chain.webhook_receiver(directory, hook, posted))
    launch(chain.alertmanager(directory, config, port))
    started = {**ALERT, "startsAt": datetime.now(UTC).isoformat()}
    request = urllib.request.Request(  # noqa: S310
        f"{chain.url(port)}/api/v2/alerts",
        json.dumps([started]).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310

    def read() -> dict[str, dict[str, Any]]:
        return {post["path"]: post["body"] for post in posts_in(posted)}

    network.wait_for(lambda: len(read()) == 4)
    return read()


@pytest.mark.parametrize("path", ["/slack", "/discord"])
def test_chats_lead_to_the_page_and_the_runbook(
    posts: dict[str, dict[str, Any]], path: str
) -> None:
    (shown,) = posts[path]["attachments"]

    assert shown["title"] == shown["fallback"] == SUBJECT
    assert shown["title_link"] == PAGE
    first, message, facts, links = shown["text"].strip().splitlines()
    assert first == f"*{TEXT}*"
    assert facts.startswith("critical, since 20")
    assert facts.endswith(" UTC · host db1 · run night-7")
    assert message == "disk &lt;full&gt;"
    assert links.startswith(
        f"<{PAGE}|Open job page> · <{PAGE}/runbook#afterrunjobfailing|Runbook"
    )
    assert "/#/silences/new?filter=%7Balertname%3D" in links


def test_a_page_names_the_job_and_leads_to_it(posts: dict[str, dict[str, Any]]) -> None:
    sent = posts["/pagerduty"]

    assert sent["client_url"] == PAGE
    shown = sent["payload"]
    assert (shown["summary"], shown["severity"]) == (SUBJECT, "critical")
    assert (shown["component"], shown["class"]) == ("backup", names.JOB_FAILING)
    text = shown["custom_details"]["text"]
    assert text.startswith(f"{TEXT}\n  Message: disk <full>\n  critical, since 20")
    assert "  host db1, run night-7\n" in text
    assert f"  Open job page: {PAGE}\n" in text


def test_a_webhook_gets_the_run_as_annotations(
    posts: dict[str, dict[str, Any]],
) -> None:
    (sent,) = posts["/alerts"]["alerts"]

    assert sent["annotations"] == ALERT["annotations"]
