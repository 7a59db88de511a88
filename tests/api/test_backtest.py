"""Rules tried over the API."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter import config
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from tests.api.conftest import validator
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client
from tests.services import job_config

PATH = "/api/v1/jobs/backup/backtest"


async def tried(client: Client, **body: Any) -> Any:
    response = await client.post(PATH, json=body)
    assert response.status == 200, await response.text()
    return await response.json()


async def refused(client: Client, body: Any) -> tuple[int, str]:
    response = await client.post(PATH, json=body)
    assert response.content_type == "application/problem+json"
    return response.status, (await response.json(content_type=None))["detail"]


async def report(service: Service, *rows: float) -> None:
    """Report a run a minute."""
    for minute, count in enumerate(rows):
        metrics = {"rows": float(count), "size": 48211.0}
        await service.record(ping(f"21 12:{minute:02}", metrics=metrics))


async def test_a_rule_is_tried_on_past_runs(client: Client, service: Service) -> None:
    """Alone: what the job's own rules flagged is no longer flagged."""
    await report(service, 120, 60.5, 0)

    answer = await tried(client, rules=["rows between 1 and 100"])

    broken = {"rule": "rows between 1 and 100", "metric": "rows"}
    expected = {"text": None, "expected": ">= 1 and <= 100"}
    recorded = {
        "rule": "rows > 0",
        "metric": "rows",
        "value": 0,
        "text": None,
        "actual": "0",
        "expected": "> 0",
    }
    run: dict[str, Any] = {"run_id": None, "attempt": 1, "unknown": []}
    assert answer == {
        "job": "backup",
        "headline": "2 of 3 runs would be flagged, 1 was: 1 newly, 0 no longer",
        "warnings": [],
        "gaps": [],
        "since": "2026-11-21T12:00:00Z",
        "until": "2026-11-21T12:02:00Z",
        "runs": 3,
        "judged": 3,
        "would_flag": 2,
        "was_flagged": 1,
        "changes": {
            "newly_flagged": 1,
            "no_longer_flagged": 0,
            "flagged_by_both": 1,
            "flagged_by_neither": 1,
            "unknown": 0,
            "not_judged": 0,
        },
        "forgotten": 0,
        "rules": [
            broken
            | {"tried": True, "would_flag": 2, "was_flagged": 0}
            | {"not_reported": 0, "unknown": 0},
            {"rule": "rows > 0", "metric": "rows", "tried": False, "would_flag": 0}
            | {"was_flagged": 1, "not_reported": 0, "unknown": 0},
        ],
        "flagged": [
            {
                **run,
                "number": 3,
                "outcome": "violated",
                "finished_at": "2026-11-21T12:02:00Z",
                "change": "flagged_by_both",
                "would_break": [broken | {"value": 0, "actual": "0"} | expected],
                "broke": [recorded],
            },
            {
                **run,
                "number": 1,
                "outcome": "ok",
                "finished_at": "2026-11-21T12:00:00Z",
                "change": "newly_flagged",
                "would_break": [broken | {"value": 120, "actual": "120"} | expected],
                "broke": [],
            },
        ],
    }


async def test_rules_can_be_tried_beside_those_the_job_has(
    client: Client, service: Service
) -> None:
    """One of the same name takes the place of the job's."""
    await report(service, 120, 60, 0)
    more = {"expr": "size > 1MiB", "name": "size > 1KiB"}

    beside = await tried(client, rules=["rows > 100"], add=True)
    instead = await tried(client, rules=[more], add=True)

    assert [rule["rule"] for rule in beside["rules"]] == [
        *("rows > 0", "size > 1KiB", "rows > 100")
    ]
    assert [(one["number"], one["change"]) for one in beside["flagged"]] == [
        (3, "flagged_by_both"),
        (2, "newly_flagged"),
    ]
    assert [rule["rule"] for rule in instead["rules"]] == ["rows > 0", "size > 1KiB"]
    assert instead["would_flag"] == 3


async def test_rules_that_a_client_gave_a_job_are_tried_besides(
    client: Client, service: Service, clock: ManualClock
) -> None:
    """Where that is asked for: a file whose policies change does not know them."""
    words = {"rules": ["rows > 100", {"expr": "rows > 5", "name": "few"}]}
    catalogue_ = config.parse("{}").job_config
    await service.reconfigure(catalogue_)
    await JobAdmin(service, clock).describe("backup", words)
    await report(service, 120, 50)

    alone = await tried(client, rules=["rows > 0"])
    besides = await tried(client, rules=["rows > 60", "few > 1"], said=True)
    replaced = await tried(client, rules=[{"expr": "r > 1", "name": "few"}], said=True)

    assert alone["changes"]["no_longer_flagged"] == 1
    assert [(rule["rule"], rule["metric"]) for rule in besides["rules"]] == [
        *(("rows > 60", "rows"), ("few > 1", "few")),
        *(("rows > 100", "rows"), ("few", "rows")),
    ]
    assert [rule["metric"] for rule in replaced["rules"]] == ["rows", "rows"]


async def test_without_rules_those_of_the_job_are_tried(
    client: Client, service: Service
) -> None:
    """They may be others than they were."""
    await report(service, 120, 0)
    await service.reconfigure(job_config(replace(BACKUP, rules=())))

    now, none, empty = [
        await tried(client),
        await tried(client, rules=None),
        await tried(client, rules=[]),
    ]

    assert now == none == empty
    assert now["changes"]["no_longer_flagged"] == 1


async def test_missing_metrics_can_be_ignored(client: Client, service: Service) -> None:
    await report(service, 120)
    rule = {"expr": "bytes > 0", "on_missing": "ignore"}

    strict = await tried(client, rules=["bytes > 0"])
    lenient = await tried(client, rules=[rule])

    assert (strict["would_flag"], strict["rules"][0]["not_reported"]) == (1, 1)
    assert strict["warnings"] == [
        (
            "'bytes > 0' flags every run: 'bytes' was never reported; these runs "
            "reported rows, size"
        )
    ]
    assert lenient["would_flag"] == 0
    assert lenient["warnings"][0].startswith("'bytes > 0' never flags: ")


async def test_a_time_and_a_number_limit_what_is_told(
    client: Client, service: Service, clock: ManualClock
) -> None:
    """Not what is counted, and not what `previous` is."""
    await report(service, 120, 50, 40, 30)
    clock.show(at("21 12:04"))

    since = await tried(client, rules=["rows >= 0.5 * previous"], since="3m")
    few = await tried(client, rules=["rows > 100"], limit=1)

    assert (since["runs"], since["since"]) == (3, "2026-11-21T12:01:00Z")
    assert since["flagged"][-1]["would_break"][0]["expected"] == (
        ">= 60 (0.5 * previous)"
    )
    assert (few["would_flag"], len(few["flagged"])) == (3, 1)
    assert few["flagged"][0]["number"] == 4


async def test_only_some_changes_can_be_told_of(
    client: Client, service: Service
) -> None:
    await report(service, 120, 50, 0)

    answer = await tried(client, rules=["rows > 100"], changes=["newly_flagged"])

    assert [run["number"] for run in answer["flagged"]] == [2]
    assert answer["would_flag"] == 2


async def test_nothing_is_changed_by_it(
    client: Client, service: Service, store: MemoryStore
) -> None:
    """It is asked what would be; no run, state or alert is touched."""
    await report(service, 120, 50)
    before = dict(store.states), await store.runs("backup", 9), await store.alerts()

    await tried(client, rules=["rows > 1000"])

    after = dict(store.states), await store.runs("backup", 9), await store.alerts()
    assert after == before


async def test_a_job_that_has_not_run_says_so(client: Client) -> None:
    answer = await tried(client, rules=["rows > 100"])

    assert answer["headline"] == "no runs yet: there is nothing to test rules on"
    assert (answer["runs"], answer["since"], answer["flagged"]) == (0, None, [])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"rules": ["rows"]}, "rules[0]: cannot read rule 'rows': write METRIC OP"),
        ({"rules": "rows > 1"}, "rules: expected a list such as [one, two], not 'rows"),
        ({"rules": [5]}, "rules[0]: expected a rule like rows_processed > 0, not 5"),
        ({"rules": [{"name": "x"}]}, "rules[0]: 'expr' is missing"),
        (
            {"rules": [{"expr": "rows > 1", "on_mising": "ignore"}]},
            "rules[0].on_mising: unknown key; did you mean 'on_missing'?",
        ),
        ({"rules": ["r > 1", "r > 1"]}, "rules[1]: rule 'r > 1' is listed twice"),
        ({"rules": ["r > 1"] * 101}, "rules: 101 rules are too many for a backtest"),
        (
            {"rules": [f"{'r' * 1000} > 1"]},
            f"rules[0]: '{'r' * 50}...' is too long for a rule: at most 1000 characters",
        ),
        ({"rule": ["r > 1"]}, "rule: unknown key; did you mean 'rules'?"),
        ({"since": "x"}, "since: 'x' is neither a duration nor a time: write it like"),
        ({"since": 5}, "since: expected text, not 5: put it in quotes"),
        ({"limit": 0}, "limit: 0 is too small: at least 1"),
        ({"limit": 501}, "limit: 501 is too large: at most 500"),
        (
            {"changes": ["newly"]},
            "changes[0]: unknown value 'newly'; did you mean 'newly_flagged'?",
        ),
        ({"add": "yes"}, "add: expected true or false, not 'yes'"),
        (["rows > 1"], "the body is not a JSON object: send {...}"),
    ],
)
async def test_what_cannot_be_tried_is_refused(
    client: Client, body: Any, problem: str
) -> None:
    status, detail = await refused(client, body)

    assert status == 400
    assert detail.startswith(problem)
    assert "\n" not in detail


async def test_all_that_is_wrong_is_told_at_once(client: Client) -> None:
    """A line each, in the words of `afterrun check`."""
    rules = ["rows is 0", "rows > 0", "rows > 5 parsecs"]

    _, detail = await refused(client, {"rules": rules, "since": "x", "limit": 0})

    assert [line.partition(":")[0] for line in detail.splitlines()] == [
        *("rules[0]", "rules[2]", "since", "limit")
    ]


async def test_a_job_that_nobody_knows_is_not_found(client: Client) -> None:
    response = await client.post("/api/v1/jobs/bakup/backtest", json={})

    assert response.status == 404
    assert "did you mean 'backup'?" in await response.text()


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({}, True),
        ({"rules": None, "since": None}, True),
        ({"rules": ["rows > 1", {"expr": "size > 1KiB", "name": "size"}]}, True),
        ({"rules": [5]}, False),
        ({"rules": [{"name": "x"}]}, False),
        ({"rules": [f"{'r' * 1000} > 1"]}, False),
        ({"rules": [{"expr": f"{'r' * 1000} > 1"}]}, False),
        ({"rules": "rows > 1"}, False),
        ({"rules": ["rows > 1"] * 101}, False),
        ({"since": "30d", "limit": 500, "changes": ["unknown"]}, True),
        ({"since": "x"}, False),
        ({"limit": 0}, False),
        ({"changes": None}, False),
        ({"changes": ["newly"]}, False),
        ({"rule": ["rows > 1"]}, False),
    ],
)
async def test_what_can_be_tried_is_told_as_it_is_read(
    client: Client, body: Any, fits: bool
) -> None:
    """In the document; every answer is told there as well."""
    response = await client.post(PATH, json=body)

    schema = {"$ref": "#/components/schemas/RulesToTry"}
    assert validator(schema).is_valid(body) is fits
    assert (response.status == 200) is fits
