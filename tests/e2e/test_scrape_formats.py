"""A real Prometheus asks for OpenMetrics and finds the series of the text format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from afterrun_exporter import conventions as names

from . import network
from .chain import daemon, prometheus, url
from .conftest import Launch

#: A job with a series of each kind.
JOB = {
    "every": "1h",
    "max_runtime": "10m",
    "rules": ["rows > 0"],
    "alerts": {"success_ratio": {"below": "80%", "over": "7d"}},
    "concurrency": {"max": 1},
}


def test_prometheus_finds_the_same_series_in_openmetrics(
    launch: Launch, tmp_path: Path
) -> None:
    exporter, server = network.free_port(), network.free_port()
    afterrun = tmp_path / "afterrun.yml"
    afterrun.write_text(json.dumps({"jobs": {"backup": JOB}}))
    config = tmp_path / "prometheus.yml"
    target = f"{network.LOOPBACK}:{exporter}"
    scrape = {"job_name": "afterrun", "static_configs": [{"targets": [target]}]}
    config.write_text(
        yaml.safe_dump(
            # It is the timeout of a scrape, too.
            {"global": {"scrape_interval": "3s"}, "scrape_configs": [scrape]}
        )
    )
    launch(daemon(tmp_path, afterrun, exporter))
    launch(prometheus(tmp_path, config, server))

    # In the text format, the family has the name of its series.
    expected = {
        names.RUNS.removesuffix("_total"): [("counter", "")],
        names.DEADLINE: [("gauge", "seconds")],
    }

    def metadata() -> dict[str, list[tuple[str, str]]]:
        """Return the types and units of these families."""
        answer = json.loads(network.get(f"{url(server)}/api/v1/metadata") or b"{}")
        families = answer.get("data") or {}
        return {
            name: [(one["type"], one["unit"]) for one in families.get(name, ())]
            for name in expected
        }

    assert network.wait_for_value(metadata, expected) == expected

    def exposed() -> set[tuple[Any, ...]]:
        text = (network.get(f"{url(exporter)}/metrics") or b"").decode()
        return {
            (one.name, *sorted((k, v) for k, v in one.labels.items() if v))
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }

    def found() -> set[tuple[Any, ...]]:
        return {
            (
                result["metric"]["__name__"],
                *sorted((k, v) for k, v in result["metric"].items() if k not in ADDED),
            )
            for result in network.query(url(server), '{job="afterrun"}')
            if not result["metric"]["__name__"].startswith(("up", "scrape_"))
        }

    def difference() -> set[tuple[Any, ...]]:
        return found() ^ exposed()

    # The first requests add series to the next scrape, and after a scrape that takes too
    # long there are none for a while.
    assert network.wait_for(lambda: not difference()), difference()


#: What Prometheus adds to each series.
ADDED = {"__name__", "instance", "job"}
