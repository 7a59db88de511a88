"""``GET /-/targets``: what Prometheus' http_sd_configs read."""

from __future__ import annotations

import pytest

from tests.http import Client


async def test_every_shard_is_a_target_of_its_own(client: Client) -> None:
    answer = await client.get(
        "/-/targets", params={"shards": "2"}, headers={"Host": "127.0.0.2:10707"}
    )

    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert await answer.json() == [
        {
            "targets": ["127.0.0.2:10707"],
            "labels": {
                "__scheme__": "http",
                "__metrics_path__": "/metrics",
                "__param_shard": str(number),
                "__param_shards": "2",
                "instance": f"127.0.0.2:10707/{number}",
            },
        }
        for number in (1, 2)
    ]


async def test_without_a_number_it_is_one(client: Client) -> None:
    (target,) = await (await client.get("/-/targets")).json()

    assert target["labels"]["__param_shards"] == "1"


@pytest.mark.parametrize("shards", ["0", "many", "", "1000"])
async def test_a_number_that_is_none_is_refused(client: Client, shards: str) -> None:
    answer = await client.get("/-/targets", params={"shards": shards})

    assert answer.status == 400
    assert (await answer.json())["detail"] == (
        f"shards must be a number from 1 to 100, not {shards!r}"
    )
