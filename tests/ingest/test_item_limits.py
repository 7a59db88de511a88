"""What is counted before it is read: items, lines, fields, and the names of fields."""

from __future__ import annotations

import json

import pytest

from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import forms, outcome_claims
from afterrun_exporter.ingest.batches import MAX_ITEMS, split
from afterrun_exporter.ingest.json_text import MAX_NESTED, parse_json
from afterrun_exporter.ingest.report_parsing import read_report
from tests.http import Client


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"x\n" * 500_000, "over 40000 lines are too many"),
        (b"{\r" * 500_000, "over 40000 lines are too many"),
        (b"{}\n" * (MAX_ITEMS + 1), "10001 reports are too many"),
        (b"[" + b"{}," * 20_000 + b"{,}]", "10001 reports are too many"),
        (b"[" + b"1," * 100_000 + b"1]", "100001 reports are too many"),
        (
            (b'{"job":"a","metadata":' + b"[" * 800 + b"]" * 800 + b"}\n") * 200,
            "over 50000 objects and arrays",
        ),
        (
            b"[" + b'{"a":[[]]},' * 40_000 + b"{,}]",
            "over 50000 objects and arrays",
        ),
    ],
    ids=["lines", "returns", "objects", "broken", "numbers", "deep", "broken and deep"],
)
def test_a_batch_with_too_much_in_it_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(PingError, match=message):
        split(body)


def test_blank_lines_are_no_reports() -> None:
    assert len(split(b'\n\n{"job": "a"}\n\n{"job": "b"}\n' * 100)) == 200


@pytest.mark.parametrize("piece", ["[],", "{},"])
def test_more_objects_than_fit_into_memory_are_refused(piece: str) -> None:
    with pytest.raises(PingError, match="over 50000 objects and arrays"):
        parse_json(f"[{piece * (MAX_NESTED + 1)}0]")


def test_a_long_log_with_many_brackets_is_read() -> None:
    lines = "[2026-11-29 12:00:00] {worker} started\n" * 20_000

    assert read_report(json.dumps({"message": lines}).encode()) == {"message": lines}


def test_a_text_of_many_lines_is_no_list_of_fields() -> None:
    text = "rows=1\n\n" * 40 + "status: fail\n" * 40

    assert read_report(text.encode(), "text/plain").keys() == {"message"}


def test_fields_stand_on_lines_with_blank_ones_between() -> None:
    found = read_report(b"rows=1\n\n" * 40 + b"exit_code=3\n")

    assert found["exit_code"] == "3"


def test_a_long_name_is_not_repeated_for_all_that_is_inside() -> None:
    verdict = outcome_claims.read({"n" * 100_000: [{"status": "failed"}] * 1000})

    assert max(map(len, verdict.warnings), default=0) < 300


def test_escapes_are_replaced_wherever_the_text_is_divided() -> None:
    for start in range(4):
        text = "x" * start + "%C3%A4%7b%" * 20_000
        assert forms.unquoted(text) == "x" * start + "ä{%" * 20_000


@pytest.mark.parametrize("path", ["/runs", "/events", "/task"])
async def test_an_item_that_is_not_json_is_refused_with_the_reason(
    client: Client, path: str
) -> None:
    response = await client.post(path, data=b'{"job": "a"}\n{"job": }\n')

    told = await response.json()
    assert "is not JSON" in told["results"][-1]["detail"]


async def test_a_description_that_is_too_long_is_told(client: Client) -> None:
    monitor = {"key": "etl", "schedule": "@daily", "note": "x" * 20_000}
    response = await client.put("/api/monitors", json=monitor)

    told = await response.json(content_type=None)
    assert "use at most 16384" in json.dumps(told)
