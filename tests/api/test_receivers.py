"""Receivers of one job over the API."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.receiver_targets import check_target, displayed, origin
from afterrun_exporter.core.routing import ReceiverType
from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP
from tests.http import Client
from tests.services import job_config

SYNC = Job(name="sync")

WEBHOOK = {"alert_type": "webhook", "target": "https://hooks.example.com/afterrun"}
SLACK = {"alert_type": "slack", "target": "https://hooks.slack.example/T0/B0/s3cret"}
RECEIVERS = "/api/v1/jobs/backup/receivers"


async def added(client: Client, body: dict[str, Any]) -> Any:
    response = await client.post(RECEIVERS, json=body)
    assert response.status == 201, await response.text()
    return await response.json()


async def listed(client: Client) -> Any:
    return (await (await client.get(RECEIVERS)).json())["receivers"]


async def test_a_receiver_is_added_and_then_listed(client: Client) -> None:
    """It is told of everything unless the request says otherwise."""
    response = await client.post(RECEIVERS, json=WEBHOOK)
    answer = await response.json()

    told = {
        "id": answer["id"],
        "job": "backup",
        "alert_type": "webhook",
        "target": "https://hooks.example.com/\u2026",
        "on_failure": True,
        "on_timeout": True,
        "on_violation": True,
        "on_missed": True,
        "on_success": False,
        "created_at": "2026-11-21T12:00:00Z",
    }
    assert response.status == 201
    assert answer == told | {"applied": "stored", "warnings": []}
    assert await listed(client) == [told]
    where = response.headers["Location"]
    assert await (await client.get(where)).json() == told


async def test_a_receiver_that_is_removed_is_gone(client: Client) -> None:
    """And there is nothing to remove any more."""
    first, second = await added(client, WEBHOOK), await added(client, SLACK)
    where = f"/api/v1/receivers/{first['id']}"

    assert (await client.delete(where)).status == 204

    assert [one["id"] for one in await listed(client)] == [second["id"]]
    again = await client.delete(where)
    assert again.status == 404
    assert (await again.json(content_type=None))["detail"] == (
        f"no receiver has the id {first['id']}"
    )


async def test_an_id_never_names_another_receiver(client: Client) -> None:
    """A stale DELETE must not hit one that came later."""
    first = await added(client, WEBHOOK)
    await client.delete(f"/api/v1/receivers/{first['id']}")

    assert (await added(client, WEBHOOK))["id"] != first["id"]


@pytest.mark.parametrize("number", ["0", "x", "9" * 30, "-1", "1.0", "\u0661"])
async def test_an_id_that_is_none_is_not_found(client: Client, number: str) -> None:
    assert (await client.delete(f"/api/v1/receivers/{number}")).status == 404


async def test_the_same_receiver_twice_is_refused(client: Client) -> None:
    """It says which one is there; another type of the same target is another one."""
    first = await added(client, WEBHOOK)

    response = await client.post(RECEIVERS, json={**WEBHOOK, "on_missed": False})

    assert response.status == 409
    assert (await response.json(content_type=None))["detail"] == (
        f"job 'backup' already has this webhook receiver, with id {first['id']}; "
        "delete it to change it"
    )
    await added(client, {**WEBHOOK, "alert_type": "slack"})


@pytest.mark.parametrize("kind", ["slack", "discord", "webhook"])
@pytest.mark.parametrize("rest", ["T0/B0/s3cret", "T0/s3cret/", "s3cret"])
async def test_what_is_secret_is_never_shown(
    client: Client, kind: str, rest: str
) -> None:
    """Neither in an answer, nor in an error, nor in the log."""
    receiver = {"alert_type": kind, "target": f"https://hooks.example.com/{rest}"}
    with capture_logs() as logs:
        answers = [
            await client.post(RECEIVERS, json=receiver),
            await client.post(RECEIVERS, json=receiver),
            await client.get(RECEIVERS),
        ]

    assert [answer.status for answer in answers] == [201, 409, 200]
    said = [await answer.text() for answer in answers]
    assert "s3cret" not in f"{said}{logs}"
    assert "https://hooks.example.com" in f"{logs}"
    (found,) = await listed(client)
    assert found["target"] == "https://hooks.example.com/\u2026"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("https://hooks.example.com:8443/", "https://hooks.example.com:8443/"),
        ("http://hooks.example.com/a", "http://hooks.example.com/\u2026"),
        ("http://hooks.example.com?key=a", "http://hooks.example.com/\u2026"),
        ("http://hooks.example.com/?key=a", "http://hooks.example.com/\u2026"),
        ("HTTP://Hooks.example.com/a", "http://Hooks.example.com/\u2026"),
    ],
)
def test_of_a_webhook_the_host_is_shown(target: str, expected: str) -> None:
    assert displayed(ReceiverType.WEBHOOK, target) == expected


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "'alert_type' is missing\n'target' is missing"),
        ({"alert_type": "webhook"}, "'target' is missing"),
        (
            {**WEBHOOK, "alert_type": "sms"},
            "alert_type: unknown value 'sms': use one of webhook, email, slack, discord",
        ),
        (
            {**WEBHOOK, "on_failure": "yes"},
            "on_failure: expected true or false, not 'yes'",
        ),
        (
            {**WEBHOOK, "on_failures": True},
            "on_failures: unknown key; did you mean 'on_failure'?",
        ),
        (
            dict.fromkeys(("on_failure", "on_timeout", "on_violation"), False)
            | {**WEBHOOK, "on_missed": False},
            (
                "on_failure, on_timeout, on_violation, on_missed, on_success are all false: the "
                "receiver would never be notified; set one"
            ),
        ),
        (
            {**WEBHOOK, "target": "hooks.example.com"},
            (
                "target: 'hooks.example.com' is not an http or https URL: write it like "
                "https://hooks.example.com/afterrun"
            ),
        ),
    ],
)
async def test_a_receiver_that_cannot_be_added_says_why(
    client: Client, body: dict[str, Any], detail: str
) -> None:
    """And is not stored."""
    response = await client.post(RECEIVERS, json=body)

    assert response.status == 400
    assert (await response.json(content_type=None))["detail"] == detail
    assert await listed(client) == []


async def test_all_receivers_can_be_listed(client: Client, service: Service) -> None:
    """Of every job, and of what is secret only the host."""
    await service.reconfigure(job_config(BACKUP, SYNC))
    first = await added(client, WEBHOOK)
    other = "/api/v1/jobs/sync/receivers"
    second = await (await client.post(other, json=SLACK)).json()

    answer = await client.get("/api/v1/receivers")

    assert answer.status == 200
    found = (await answer.json())["receivers"]
    assert [(one["id"], one["job"]) for one in found] == [
        (first["id"], "backup"),
        (second["id"], "sync"),
    ]
    assert "s3cret" not in await answer.text()


async def test_receivers_of_a_job_that_left_can_be_found_and_removed(
    client: Client, service: Service
) -> None:
    """They are still in alertmanager.yml. No more are taken for it."""
    receiver = await added(client, WEBHOOK)
    await service.reconfigure(job_config(SYNC, unknown=None))

    assert [one["id"] for one in await listed(client)] == [receiver["id"]]
    assert (await client.post(RECEIVERS, json=SLACK)).status == 404
    await client.delete(f"/api/v1/receivers/{receiver['id']}")
    assert (await client.get(RECEIVERS)).status == 404


async def test_a_job_nobody_knows_has_no_receivers(client: Client) -> None:
    assert (await client.get("/api/v1/jobs/bakup/receivers")).status == 404
    answer = await client.post("/api/v1/jobs/bakup/receivers", json=WEBHOOK)
    assert answer.status == 404


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("webhook", "http://localhost:9095/alerts?team=data"),
        ("webhook", "HTTPS://[::1]:8443/"),
        ("discord", "https://discord.com/api/webhooks/1/abc"),
        ("email", "on-call+night@sub.example.com"),
        ("email", "root@localhost"),
    ],
)
def test_a_target_that_can_be_reached_is_taken(kind: str, target: str) -> None:
    check_target(ReceiverType(kind), target)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("webhook", ""),
        ("webhook", "ftp://example.com/"),
        ("webhook", "file:///etc/passwd"),
        ("webhook", "//example.com/"),
        ("webhook", "https://"),
        ("webhook", "https:///path"),
        ("webhook", "https://example.com:99999/"),
        ("webhook", "https://example.com:x/"),
        ("webhook", "https://[::1/"),
        ("webhook", "https://ada:hunter2@example.com/"),
        ("webhook", "https://ada@example.com/"),
        ("webhook", "https://example.com/#part"),
        ("webhook", "https://example.com/#"),
        ("webhook", "https://example.com/a b"),
        ("webhook", "https://example.com/\r\nX: y"),
        ("webhook", "https://example.com\\@evil.example/"),
        ("webhook", "https://exämple.com/"),
        ("webhook", "https://example.com/{{ .GroupLabels }}"),
        ("webhook", f"https://example.com/{'a' * 2048}"),
        ("discord", "https://discord.com/api/webhooks/1/abc?wait=true"),
        ("slack", "oncall@example.com"),
        ("email", "https://example.com/"),
        ("email", "a@example.com, b@example.com"),
        ("email", "a@example.com\nBcc: b@example.com"),
        ("email", "Ada <a@example.com>"),
        ("email", "a@{{ .x }}.com"),
        ("email", "@example.com"),
        ("email", "a@-example.com"),
        ("email", f"a@{'b' * 300}.com"),
    ],
)
def test_a_target_that_is_none_or_smuggles_something_is_refused(
    kind: str, target: str
) -> None:
    """And what may be a password is not said again."""
    with pytest.raises(ValueError, match=r"^(it|.* is) ") as refused:
        check_target(ReceiverType(kind), target)

    assert "hunter2" not in str(refused.value)


@given(
    st.sampled_from(ReceiverType),
    st.one_of(st.text(), st.from_regex(r"https?://[a-z@:/?#\[\]%.0-9-]*")),
)
def test_whatever_is_taken_can_be_told_in_one_line(
    kind: ReceiverType, target: str
) -> None:
    """Without its path where that is a secret."""
    try:
        check_target(kind, target)
    except ValueError:
        return

    assert origin(kind, target).isprintable()
    assert displayed(kind, target).isprintable()
