"""Hints at misspelt jobs."""

from __future__ import annotations

import pytest
import structlog

from afterrun_exporter.ingest.similar_names import A_MINUTE, near_name
from tests.http import Client

CONFIGURED = {"ingest", "nightly-backup", "db.dump", "etl", "backup-1", "shard-a"}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ingset", "ingest"),
        ("ingst", "ingest"),
        ("inggest", "ingest"),
        ("ingesr", "ingest"),
        ("Ingest", "ingest"),
        ("nightly_backup", "nightly-backup"),
        ("NIGHTLY.BACKUP", "nightly-backup"),
        ("nightlybackup", "nightly-backup"),
        ("db-dump", "db.dump"),
        ("etl", "etl"),
        # Jobs of one kind, and others.
        ("etx", None),
        ("backup-2", None),
        ("backup-10", None),
        ("shard-b", None),
        ("ingest2", None),
        ("restore", None),
        ("x" * 128, None),
    ],
)
def test_names_that_differ_by_a_typing_error_are_near(
    name: str, near: str | None
) -> None:
    assert near_name(name, CONFIGURED.__contains__) == near


async def test_the_first_report_of_a_misspelt_job_is_warned(
    client: Client,
) -> None:
    warning = "job 'bakcup' was registered by this report; did you mean 'backup'?"

    with structlog.testing.capture_logs() as logs:
        answers = [await client.post("/ping/bakcup", json={"run_id": i}) for i in "ab"]
        batch = await client.post("/ping", json=[{"job": "backpu"}])

    assert [(await answer.json())["warnings"] for answer in answers] == [[warning], []]
    assert "did you mean 'backup'" in (await batch.text())
    assert [line["event"] for line in logs] == ["job_registered"] * 2
    assert logs[0]["reason"] == warning


async def test_many_new_jobs_are_no_typing_errors(
    client: Client,
) -> None:
    items = [{"job": f"job{number}x"} for number in range(A_MINUTE)]
    await client.post("/ping", json=items)

    answer = await client.post("/ping/backpu")

    assert (await answer.json())["warnings"] == []
