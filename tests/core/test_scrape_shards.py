from __future__ import annotations

import re

import pytest

from afterrun_exporter.core.scrape_shards import WHOLE, Shard, parse_count, parse_shard

NAMES = [f"job-{number:05d}" for number in range(4000)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10])
def test_every_job_is_in_exactly_one_shard_and_they_are_alike(count: int) -> None:
    shards = [Shard(number, count) for number in range(1, count + 1)]
    sizes = [sum(shard.holds(name) for name in NAMES) for shard in shards]

    assert sum(sizes) == len(NAMES)
    assert min(sizes) > 0.85 * len(NAMES) / count


def test_a_job_stays_in_its_shard_for_ever() -> None:
    """Also over restarts: what Python calls hash() would differ in each."""
    held = [name for name in NAMES[:20] if Shard(1, 4).holds(name)]

    assert held == [
        "job-00004",
        "job-00006",
        "job-00007",
        "job-00008",
        "job-00009",
        "job-00010",
        "job-00017",
    ]


def test_a_request_without_shards_is_for_all_jobs() -> None:
    assert parse_shard(None, None) == WHOLE
    assert parse_shard("2", "4") == Shard(2, 4)


@pytest.mark.parametrize(
    ("number", "count", "message"),
    [
        ("1", None, "shard and shards go together, as in shard=1&shards=4"),
        (None, "4", "shard and shards go together, as in shard=1&shards=4"),
        ("0", "4", "shard must be a number from 1 to 4, not '0'"),
        ("5", "4", "shard must be a number from 1 to 4, not '5'"),
        ("-1", "4", "shard must be a number from 1 to 4, not '-1'"),
        ("one", "4", "shard must be a number from 1 to 4, not 'one'"),
        ("1", "0", "shards must be a number from 1 to 100, not '0'"),
        ("1", "101", "shards must be a number from 1 to 100, not '101'"),
        ("1", "", "shards must be a number from 1 to 100, not ''"),
        ("1", "٤", "shards must be a number from 1 to 100, not '٤'"),
    ],
)
def test_what_is_no_shard_is_refused_in_a_sentence(
    number: str | None, count: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_shard(number, count)


def test_a_number_of_shards_is_read_likewise() -> None:
    assert parse_count("4") == 4
    with pytest.raises(ValueError, match="shards must be a number from 1 to 100"):
        parse_count("9" * 10_000)
