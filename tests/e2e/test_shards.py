"""A real Prometheus scrapes the jobs in shards that it has found by itself."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from afterrun_exporter import conventions as names
from afterrun_exporter.core.scrape_shards import Shard
from tests.patience import PATIENCE

from . import network
from .chain import daemon, prometheus, url
from .conftest import Launch
from .shipped import RULES

JOBS: Final = [f"job-{number:02d}" for number in range(40)]
SHARDS: Final = 3
FAILED: Final = f'ALERTS{{alertname="{names.JOB_FAILING}",alertstate="firing"}}'


class Sharded:
    """The daemon, and the Prometheus that scrapes it."""

    def __init__(self, directory: Path, launch: Launch) -> None:
        self._daemon, self._prometheus = network.free_port(), network.free_port()
        self.address = f"{network.LOOPBACK}:{self._daemon}"
        afterrun = directory / "afterrun.yml"
        afterrun.write_text(
            f"min_visible: 1s\njobs: {json.dumps({n: {} for n in JOBS})}"
        )
        config = directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._configuration()))
        launch(daemon(directory, afterrun, self._daemon))
        launch(prometheus(directory, config, self._prometheus))

    def _configuration(self) -> dict[str, Any]:
        targets = f"{url(self._daemon)}/-/targets?shards={SHARDS}"
        return {
            # It is the timeout of a scrape, too.
            "global": {"scrape_interval": "3s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {
                    "job_name": "afterrun",
                    "http_sd_configs": [{"url": targets, "refresh_interval": "1s"}],
                }
            ],
        }

    def told(self, expression: str) -> dict[str, float]:
        """Return what Prometheus answers, by the instance or the name of the job."""
        return {
            result["metric"].get("instance") or result["metric"].get(names.JOB, ""): (
                float(result["value"][1])
            )
            for result in network.query(url(self._prometheus), expression)
        }

    def until(self, expression: str, expected: dict[str, float]) -> dict[str, float]:
        """Return what it answers, once that is *expected* or patience is at its end.

        After a scrape that takes too long, a target has no series for a while.
        """
        return network.wait_for_value(lambda: self.told(expression), expected)

    def report(self, job: str, status: str) -> None:
        body = json.dumps({"status": status}).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{url(self._daemon)}/ping/{job}", body, method="POST"
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            assert answer.status == 200


@pytest.fixture(scope="module")
def sharded(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Sharded:
    """Both programs, all shards scraped."""
    both = Sharded(tmp_path_factory.mktemp("sharded"), launch)
    assert network.wait_for(lambda: sum(both.told("up").values()) == SHARDS)
    assert network.wait_for(
        lambda: len(both.told(f"count by ({names.JOB}) ({names.INFO})")) == len(JOBS)
    )
    return both


def test_every_job_is_scraped_once_from_the_shard_that_has_it(sharded: Sharded) -> None:
    held = {
        f"{sharded.address}/{number}": float(
            sum(map(Shard(number, SHARDS).holds, JOBS))
        )
        for number in range(1, SHARDS + 1)
    }

    assert sharded.until(f"count by (instance) ({names.INFO})", held) == held
    once = dict.fromkeys(JOBS, 1.0)
    assert sharded.until(f"count by ({names.JOB}) ({names.INFO})", once) == once


def test_the_exporter_is_counted_once_and_seen_on_every_target(
    sharded: Sharded,
) -> None:
    first = f"{sharded.address}/1"
    one, jobs, shards = {first: 1.0}, {first: float(len(JOBS))}, {"": float(SHARDS)}

    processes = "count by (instance) (process_open_fds)"
    assert sharded.until(processes, one) == one
    assert sharded.until(f"sum by (instance) ({names.JOBS})", jobs) == jobs
    assert sharded.until(f"count({names.BUILD_INFO})", shards) == shards


@pytest.mark.parametrize("number", range(1, SHARDS + 1))
def test_the_shipped_rules_alert_and_resolve_whatever_the_shard(
    sharded: Sharded, number: int
) -> None:
    job = next(filter(Shard(number, SHARDS).holds, JOBS))

    sharded.report(job, "fail")
    assert sharded.until(FAILED, {job: 1}) == {job: 1}

    sharded.report(job, "ok")
    assert sharded.until(FAILED, {}) == {}
