"""The Helm chart: what it does with its values, and which ones it refuses."""

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
    URL,
    charted,
    container,
    files,
    of_kind,
    pod,
    refusal,
    workload,
)
from .value_sets import VALUES

pytestmark = pytest.mark.thorough

_TLS = {"configSecret": "web", "tls": True}

#: Values that cannot work, and a part of the error for each problem.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"replicas": 2}, ["replicas is 2", "storage.type=postgres"]),
    ({"storage": {"type": "postgres"}}, ["storage.postgres.url is missing"]),
    ({"storage": {"postgres": {"url": URL}}}, ["set storage.type=postgres"]),
    (
        {"storage": {"type": "postgres", "postgres": {"url": URL, "urlSecret": "x"}}},
        ["storage.postgres.url and storage.postgres.urlSecret exclude each other"],
    ),
    (
        {"extraEnv": [{"name": "AFTERRUN_STORAGE_URL", "value": URL}]},
        ["extraEnv: the chart sets AFTERRUN_STORAGE_URL"],
    ),
    ({"storage": {"postgres": {"passwordSecret": "x"}}}, ["storage.type=postgres"]),
    (
        {"storage": {"type": "postgres", "postgres": {"url": "mysql://a/b"}}},
        ["does not begin with postgresql://"],
    ),
    (
        {"storage": {"type": "postgres", "postgres": {"url": "postgresql://a:b@c/d"}}},
        ["has a password", "passwordSecret"],
    ),
    (
        {
            "storage": {
                "type": "postgres",
                "postgres": {"url": "postgresql://a@c/d?password=b"},
            }
        },
        ["has a password"],
    ),
    ({**POSTGRES, "persistence": {"existingClaim": "x"}}, ["is for SQLite"]),
    (
        {"persistence": {"existingClaim": "x", "enabled": False}},
        ["persistence.enabled is false"],
    ),
    ({"strategy": {"type": "Recreate"}}, ["strategy is for a Deployment"]),
    (
        {
            "persistence": {"existingClaim": "x"},
            "strategy": {"type": "RollingUpdate"},
        },
        ["second daemon"],
    ),
    (
        {"config": {"content": "jobs: {}", "git": {"url": "https://git.example/x"}}},
        ["config.content and config.git.url exclude each other"],
    ),
    (
        {"config": {"content": "jobs: {}", "existingConfigMap": "x"}},
        ["config.content and config.existingConfigMap exclude each other"],
    ),
    ({"config": {"git": {"tokenSecret": "x"}}}, ["needs config.git.url"]),
    (
        {"config": {"git": {"url": "https://me:pw@git.example/x"}}},
        ["config.git.url has a user or a password"],
    ),
    ({"web": {"tls": True}}, ["web.tls needs web.configSecret"]),
    (
        {"web": {"shutdownDelaySeconds": 25}},
        ["terminationGracePeriodSeconds is 30", "up to 33 seconds", "at least 35"],
    ),
    ({"ingress": {"enabled": True}}, ["ingress.hosts is empty"]),
    ({"httpRoute": {"enabled": True}}, ["httpRoute.parentRefs is empty"]),
    ({"extraArgs": ["--storage.path=x"]}, ["--storage.path", "under storage"]),
    ({"extraArgs": ["--log.level", "--x"]}, ["--log.level", "under log"]),
    ({"extraArgs": ["--web.listen-address=:1"]}, ["--web.listen-address"]),
    (
        {"commonLabels": {"app.kubernetes.io/name": "x"}},
        ["commonLabels: app.kubernetes.io/name selects the pods"],
    ),
    ({"podLabels": {"app.kubernetes.io/instance": "x"}}, ["podLabels: "]),
    ({"fullnameOverride": "x" * 53}, ["at most 52 characters"]),
    ({"fullnameOverride": "1st"}, ["must begin with a letter"]),
    # By the schema.
    ({"replica": 1}, ["replica"]),
    ({"persistence": {"accessMode": "ReadWriteMany"}}, ["/persistence/accessMode"]),
    ({"storage": {"type": "mysql"}}, ["/storage/type"]),
    ({"replicas": "2"}, ["/replicas"]),
    ({"replicas": -1}, ["/replicas"]),
    ({"image": {"tag": 17}}, ["/image/tag"]),
    ({"image": {"repository": "Afterrun"}}, ["/image/repository"]),
    ({"extraArgs": ["serve"]}, ["/extraArgs/0"]),
    ({"podLabels": {"x": True}}, ["/podLabels/x"]),
    ({"config": {"content": {"jobs": {}}}}, ["/config/content"]),
]


def test_values_that_cannot_work_are_refused_with_the_way_out() -> None:
    for values, parts in REFUSED:
        error = refusal(values)
        for part in parts:
            assert part in error, f"{values}: {error or 'accepted'}"


def test_all_problems_are_reported_at_once() -> None:
    values = {"replicas": 2, "web": {"tls": True}, "ingress": {"enabled": True}}

    assert refusal(values).count("\n  - ") == 3


def test_passwords_are_not_in_the_error() -> None:
    url = "postgresql://a:geheim@c/d"
    error = refusal({"storage": {"type": "postgres", "postgres": {"url": url}}})

    assert error
    assert "geheim" not in error


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

    assert rendered["endpoints"] == generated["endpoints"]
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
        "serviceMonitor": {"enabled": True},
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
