"""Rules on text and on metrics of any name, from a report to all that shows them."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter import config
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.security import SecuritySettings
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, whole_app

FILE = r"""
policies:
  - match: {name: .}
    rules: ['message !contains "<WARN>"']
jobs:
  backup:
    rules:
      - 'backup_status{profile="photos"} >= 1'
      - '"rows processed" >= 0.5 * previous'
      - {expr: 'result.state == "done"', name: state, severity: critical}
"""
GOOD: dict[str, Any] = {
    "metrics": {'backup_status{profile="photos"}': 1, "rows processed": 10},
    "metadata": {"result": {"state": "done"}},
}
BAD: dict[str, Any] = {
    "metrics": {'backup_status{profile="photos"}': 0, "rows processed": 4},
    "metadata": {"result": {"state": "half\n"}},
    "message": "<WARN> & more",
}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    clock, store = ManualClock(at("22 02:00")), MemoryStore()
    service = Service(store, clock, config.parse(FILE).job_config)
    await service.start()
    client: Client = await aiohttp_client(
        whole_app(service, store, clock, SecuritySettings())
    )
    answer = await client.post("/ping/backup", json={**GOOD, "run_id": "a"})
    assert (await answer.json())["outcome"] == "ok"
    answer = await client.post("/ping/backup", json={**BAD, "run_id": "b"})
    assert (await answer.json())["outcome"] == "violated"
    return client


async def test_the_answer_has_the_text_that_broke_a_rule(client: Client) -> None:
    answer = await client.post("/ping/backup", json={**BAD, "run_id": "c"})

    assert (await answer.json())["violations"] == [
        {
            "rule": 'message !contains "<WARN>"',
            "metric": "message",
            "value": None,
            "text": "<WARN> & more",
        },
        {
            "rule": 'backup_status{profile="photos"} >= 1',
            "metric": 'backup_status{profile="photos"}',
            "value": 0,
        },
        {
            "rule": '"rows processed" >= 0.5 * previous',
            "metric": "rows processed",
            "value": 4,
        },
        {"rule": "state", "metric": "result.state", "value": None, "text": "half\n"},
    ]


async def test_the_gauges_have_the_name_of_the_field_and_never_its_text(
    client: Client,
) -> None:
    text = await (await client.get("/metrics")).text()
    samples = [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]

    violated = {
        (labels["rule"], labels["metric"], labels["severity"]): value
        for name, labels, value in samples
        if name == "afterrun_job_rule_violated"
    }
    assert violated == {
        ('message !contains "<WARN>"', "message", "warning"): 1,
        (
            'backup_status{profile="photos"} >= 1',
            'backup_status{profile="photos"}',
            "warning",
        ): 1,
        ('"rows processed" >= 0.5 * previous', "rows processed", "warning"): 1,
        ("state", "result.state", "critical"): 1,
    }
    thresholds = [
        (labels["metric"], value)
        for name, labels, value in samples
        if name == "afterrun_job_rule_threshold"
    ]
    assert thresholds == [('backup_status{profile="photos"}', 1), ("rows processed", 5)]
    assert "half" not in text
    assert "& more" not in text


async def test_the_api_tells_of_the_text_and_of_the_alerts(client: Client) -> None:
    runs = await (await client.get("/api/v1/jobs/backup/runs")).json()
    alerts = await (await client.get("/api/v1/alerts?job=backup")).json()

    (state,) = (one for one in runs["runs"][0]["violations"] if one["rule"] == "state")
    assert state == {
        "rule": "state",
        "metric": "result.state",
        "value": None,
        "text": "half\n",
        "actual": '"half\\n"',
        "expected": '== "done"',
    }
    assert {one["summary"] for one in alerts["alerts"]} == {
        'message was "<WARN> & more", expected !contains "<WARN>"',
        'backup_status{profile="photos"} was 0, expected >= 1',
        "rows processed was 4, expected >= 5 (0.5 * previous)",
        r'result.state was "half\n", expected == "done"',
    }


async def test_the_page_explains_them_in_words(client: Client) -> None:
    answer = await client.get("/jobs/backup", headers={"Accept": "text/html"})
    page = await answer.text()

    assert answer.status == 200
    assert "<WARN>" not in page
    text = unescape(page)
    assert 'The message must not contain "<WARN>".' in text
    assert 'result.state must be exactly "done".' in text
    assert "rows processed must be at least 0.5 times that of the last ok run." in text
    assert r'"half\n"' in text


@pytest.mark.parametrize(
    "rule",
    [
        'message contains "done"',
        '"rows processed" > 100',
        'backup_status{ profile="photos" } > 1',
        'metadata.result.state == "x"',
    ],
)
async def test_they_are_tried_on_past_runs(client: Client, rule: str) -> None:
    """In the API and on the page alike."""
    answer = await client.post("/api/v1/jobs/backup/backtest", json={"rules": [rule]})
    tried = await answer.json()
    page = await client.get(
        "/jobs/backup", params={"rules": rule}, headers={"Accept": "text/html"}
    )

    assert answer.status == 200, tried
    assert tried["would_flag"] == 2
    assert tried["warnings"] == []
    assert tried["headline"] in unescape(await page.text())


async def test_a_field_that_no_run_reported_is_suspected(client: Client) -> None:
    rules = ['resutl == "x"', '"rows processed" == "5"', "reslt.state > 5"]

    answer = await client.post("/api/v1/jobs/backup/backtest", json={"rules": rules})

    _, rows, _ = (await answer.json())["warnings"]
    assert rows == (
        "'\"rows processed\" == \"5\"' flags every run: 'rows processed' is a metric, "
        "not a text; compare it with a number"
    )


async def test_a_policy_holds_for_a_job_that_is_in_no_file(client: Client) -> None:
    answer = await client.post("/ping/other", json={"message": "<WARN>"})

    assert (await answer.json())["outcome"] == "violated"
