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
            {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
        )
    )
    launch(daemon(tmp_path, afterrun, exporter))
    launch(prometheus(tmp_path, config, server))

    def metadata() -> dict[str, Any]:
        answer = json.loads(network.get(f"{url(server)}/api/v1/metadata") or b"{}")
        return answer.get("data") or {}

    assert network.wait_for(lambda: names.BUILD_INFO in metadata())
    # In the text format, the family has the name of its series.
    (runs,) = metadata()[names.RUNS.removesuffix("_total")]
    (deadline,) = metadata()[names.DEADLINE]
    assert (runs["type"], deadline["type"], deadline["unit"]) == (
        "counter",
        "gauge",
        "seconds",
    )

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

    # The first requests add series to the next scrape.
    network.wait_for(lambda: found() == exposed())
    assert found() == exposed()


#: What Prometheus adds to each series.
ADDED = {"__name__", "instance", "job"}
