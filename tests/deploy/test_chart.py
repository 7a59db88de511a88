"""The Helm chart: what it does with its values. Refused ones: test_refused_values.py."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from afterrun_exporter.rulegen.kubernetes.objects import scrape
from scripts import chart_readme
from tests.rulegen.kubernetes.objects import configured

from .rendering import (
    CHART,
    POSTGRES,
    charted,
    container,
    files,
    of_kind,
    pod,
    workload,
)
from .value_sets import VALUES

pytestmark = pytest.mark.thorough

_TLS = {"configSecret": "web", "tls": True}


def test_the_linter_has_nothing_against_it() -> None:
    for name, values in VALUES.items():
        report = helm_python.lint(CHART, dict(values), strict=True)
        serious = [one for one in report["messages"] if one["severity"] > 1]
        assert (report["errors"], serious) == ([], []), name


def test_it_is_the_same_at_each_rendering() -> None:
    for name in ("PostgreSQL", "everything else"):
        assert files(VALUES[name]) == files(VALUES[name]), name


def test_an_upgrade_of_the_chart_alone_restarts_no_pod(tmp_path: Path) -> None:
    """And it changes no field that is immutable."""
    newer = Path(shutil.copytree(CHART, tmp_path / "afterrun-exporter"))
    text = (newer / "Chart.yaml").read_text("utf-8")
    (newer / "Chart.yaml").write_text(
        re.sub(r"\nversion: .*", "\nversion: 9.9.9", text)
    )

    for values in ({}, POSTGRES, VALUES["another volume"]):
        old, new = charted(values), charted(values, chart=newer)
        assert old != new
        assert workload(old)["spec"] == workload(new)["spec"]


def test_a_changed_configuration_restarts_the_pods_only_without_auto_reload() -> None:
    def template(content: str, *, reload: bool) -> Any:
        values = {"config": {"content": content, "autoReload": reload}}
        return workload(charted(values))["spec"]["template"]

    one, two = "jobs: {}", "jobs: {a: {every: 1h}}"
    assert template(one, reload=True) == template(two, reload=True)
    assert template(one, reload=False) != template(two, reload=False)
    assert "--config.enable-auto-reload" in str(template(one, reload=True))
    assert "--config.enable-auto-reload" not in str(template(one, reload=False))


def test_the_configuration_arrives_as_it_was_written() -> None:
    """Also if it has what templates, YAML or shells would change."""
    content = (
        "# Comments; {{ .Values.x }} and $(HOME) \\ \"quotes\" 'too' \u20ac\n"
        "jobs:\n  a:\t\n    schedule: '0 2 * * *'   \n\n  b: {every: 010}\r\n  c: yes"
    )
    made = of_kind(charted({"config": {"content": content}}), "ConfigMap")

    assert made["data"] == {"afterrun.yml": content}


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("afterrun", "afterrun"),
        ("afterrun-exporter", "afterrun-exporter"),
        ("my-afterrun-exporter", "my-afterrun-exporter"),
        ("jobs", "jobs-afterrun-exporter"),
        ("j" * 53, "j" * 52),
        ("j" * 51 + "-x", "j" * 51),
    ],
)
def test_objects_are_named_after_the_release(release: str, name: str) -> None:
    objects = charted(POSTGRES, release)

    assert workload(objects)["metadata"]["name"] == name
    assert all(one["metadata"]["name"].startswith(name) for one in objects)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


def test_its_service_monitor_is_the_one_that_is_generated() -> None:
    """Whichever is applied, rules and alerts find the same labels."""
    values = {
        "serviceMonitor": {
            "enabled": True,
            "interval": "15s",
            "tokenSecret": "afterrun-token",
            "tlsConfig": {"serverName": "afterrun.example"},
        },
        "web": _TLS,
    }
    config = configured(
        """
kubernetes:
  scrape:
    service: {app.kubernetes.io/name: afterrun-exporter}
    scheme: https
    interval: 15s
    token: {secret: afterrun-token, key: token}
"""
    )
    assert config.kubernetes is not None
    generated = scrape(config.kubernetes, {"job": "afterrun"})["spec"]
    rendered = of_kind(charted(values), "ServiceMonitor")["spec"]

    (endpoint,) = rendered["endpoints"]
    # The configuration has no settings for certificates.
    assert endpoint.pop("tlsConfig") == {"serverName": "afterrun.example"}
    assert [endpoint] == generated["endpoints"]
    wanted = generated["selector"]["matchLabels"].items()
    assert wanted <= rendered["selector"]["matchLabels"].items()


def test_the_generated_service_monitor_finds_the_service() -> None:
    (group,) = (configured("kubernetes: {}\n").kubernetes,)
    assert group is not None
    for values in VALUES.values():
        if "nameOverride" not in values:
            service = of_kind(charted(values), "Service")
            assert dict(group.scrape.service).items() <= (
                service["metadata"]["labels"].items()
            )
            assert service["spec"]["ports"][0]["name"] == group.scrape.port


def test_probes_follow_tls() -> None:
    for web, scheme in (({}, "HTTP"), (_TLS, "HTTPS")):
        each = container(charted({"web": web}))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert each[probe]["httpGet"].get("scheme", "HTTP") == scheme


def test_everything_follows_the_prefix() -> None:
    values = VALUES["a prefix"]
    prefix = values["web"]["routePrefix"]
    objects = charted(values)
    each = container(objects)

    assert f"--web.route-prefix={prefix}" in each["args"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert each[probe]["httpGet"]["path"].startswith(f"{prefix}/-/")
    (endpoint,) = of_kind(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["path"] == f"{prefix}/metrics"
    test = of_kind(objects, "Pod")["spec"]["containers"][0]["command"]
    assert test[-1].endswith(f":10707{prefix}/-/ready")
    (rule,) = of_kind(objects, "Ingress")["spec"]["rules"]
    assert [one["path"] for one in rule["http"]["paths"]] == [prefix]
    (rule,) = of_kind(objects, "HTTPRoute")["spec"]["rules"]
    assert rule["matches"][0]["path"]["value"] == prefix
    assert f"http://afterrun.batch:10707{prefix}\n" in files(values)["NOTES.txt"]


def test_the_pod_of_helm_test_runs_where_the_daemon_may() -> None:
    where = {
        "nodeSelector": {"pool": "batch"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
    }
    objects = charted({**where, "commonLabels": {"team": "data"}})

    for one in (pod(objects), of_kind(objects, "Pod")["spec"]):
        assert {key: one[key] for key in where} == where
    assert of_kind(objects, "Pod")["metadata"]["labels"]["team"] == "data"


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("https://git.example:8443/jobs.git", ["8443"]),
        ("http://git.example", ["80"]),
        ("https://git.example/jobs:1", []),
        ("postgresql://a@[::1]:6432,b,c:5433/d?options=x:7", ["6432", "5433"]),
        ("postgresql:///afterrun?host=/run/postgresql", []),
    ],
)
def test_the_notes_name_ports_that_the_network_policy_closes(
    url: str, ports: list[str]
) -> None:
    if url.startswith("postgresql:"):
        values: dict[str, Any] = {
            "storage": {"type": "postgres", "postgres": {"url": url}}
        }
    else:
        values = {"config": {"git": {"url": url}}}
    notes = files(values)["NOTES.txt"]

    assert re.findall(r"WARNING: port (\d+) of", notes) == ports
    values["networkPolicy"] = {"enabled": False}
    assert "WARNING" not in files(values)["NOTES.txt"]


def test_the_claim_of_a_stateful_set_can_be_used_by_the_deployment() -> None:
    """By the same release: the volume, the paths and the pods' labels stay."""
    old, new = charted(), charted({"persistence": {"existingClaim": "data-afterrun-0"}})

    assert workload(old)["kind"] == "StatefulSet"
    assert workload(new)["kind"] == "Deployment"
    assert container(old) == container(new)
    (volume,) = (one for one in pod(new)["volumes"] if one["name"] == "data")
    (claim,) = workload(old)["spec"]["volumeClaimTemplates"]
    name = f"{claim['metadata']['name']}-{workload(old)['metadata']['name']}-0"
    assert volume["persistentVolumeClaim"] == {"claimName": name}


def test_the_notes_name_the_address_and_what_is_missing() -> None:
    notes = files()["NOTES.txt"]
    assert "http://afterrun.batch:10707" in notes
    assert "No image is published" in notes
    assert "No job is configured" in notes

    values = {
        "image": {"repository": "registry.example/afterrun"},
        "persistence": {"enabled": False},
        "web": _TLS,
        "config": {"content": "jobs: {}"},
        "serviceMonitor": {"enabled": True, "tlsConfig": {"serverName": "x"}},
    }
    notes = files(values)["NOTES.txt"]
    assert "https://afterrun.batch:10707" in notes
    assert "No image is published" not in notes
    assert "No job is configured" not in notes
    assert "lost with the pod" in notes
    assert "do not apply the one" in notes


def test_the_readme_has_every_value() -> None:
    assert chart_readme.main(["--check"]) == 0


def test_every_value_is_described_and_in_the_schema() -> None:
    text = (CHART / "values.yaml").read_text("utf-8")
    values = yaml.safe_load(text)
    with helm_python.Chart.load(CHART) as chart:
        schema = chart.schema
    assert schema is not None

    def compare(value: Any, part: Any, path: str) -> None:
        if part.get("additionalProperties") is False:
            assert value.keys() == part["properties"].keys() - {"global"}, path
            for key in value:
                compare(value[key], part["properties"][key], f"{path}.{key}")

    compare(values, schema, "")
    with pytest.raises(ValueError, match="b has no comment"):
        list(chart_readme.rows("# One.\na: 1\n\nb: 2\n"))
