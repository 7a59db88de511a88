"""Values that the Helm chart refuses, and the errors."""

from __future__ import annotations

import re
from typing import Any, Final

import helm_python
import pytest
import yaml

from .rendering import CHART, POSTGRES, URL, files, refusal

pytestmark = pytest.mark.thorough

_TLS = {"configSecret": "web", "tls": True}

#: Values that cannot work, and a part of the error for each problem.
REFUSED: Final[list[tuple[dict[str, Any], list[str]]]] = [
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
    (
        {"web": _TLS, "serviceMonitor": {"enabled": True}},
        ["serviceMonitor.tlsConfig is empty", "serverName", "insecureSkipVerify"],
    ),
    ({"config": {"content": "#" * 2**20}}, ["1048576 bytes", "use config.git.url"]),
    ({"ingress": {"enabled": True}}, ["ingress.hosts is empty"]),
    ({"httpRoute": {"enabled": True}}, ["httpRoute.parentRefs is empty"]),
    ({"extraArgs": ["--storage.path=x"]}, ["--storage.path", "under storage"]),
    ({"extraArgs": ["--log.level", "--x"]}, ["--log.level", "under log"]),
    ({"extraArgs": ["--web.listen-address=:1"]}, ["--web.listen-address"]),
    ({"extraArgs": ["--web.route-prefix=/x"]}, ["--web.route-prefix", "under web"]),
    ({"extraArgs": ["--no-config.enable-auto-reload"]}, ["under config"]),
    (
        {
            "extraVolumes": [{"name": "tmp", "emptyDir": {}}],
            "extraVolumeMounts": [
                {"name": "tmp", "mountPath": "/tmp/"},  # noqa: S108
                {"name": "ca", "mountPath": "/etc/afterrun/ca.crt"},
            ],
        },
        [
            'there is a volume "tmp" already',
            "something is mounted at /tmp/ already",
            'there is no volume "ca": add it to extraVolumes',
            "/etc/afterrun/ca.crt is in a read-only mount",
        ],
    ),
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
    ({"image": {"repository": "reg/afterrun:1.0"}}, ["/image/repository"]),
    ({"config": {"git": {"interval": "0s"}}}, ["/config/git/interval"]),
    ({"serviceMonitor": {"interval": "30s1m"}}, ["/serviceMonitor/interval"]),
    ({"persistence": {"storageClass": "-"}}, ["/persistence/storageClass"]),
    ({"commonLabels": {"team": "a b"}}, ["/commonLabels/team"]),
    ({"serviceMonitor": {"labels": {"x": "y" * 64}}}, ["/serviceMonitor/labels/x"]),
    ({"ingress": {"hosts": ["https://a.example"]}}, ["/ingress/hosts/0"]),
    ({"web": {"routePrefix": "afterrun/"}}, ["/web/routePrefix"]),
    ({"livenessProbe": {"enabled": False}}, ["/livenessProbe", "enabled"]),
    ({"livenessProbe": {"periodSeconds": 30}}, ["/livenessProbe", "httpGet"]),
    ({"extraEnv": [{"name": "A", "value": 1}]}, ["/extraEnv/0/value"]),
    ({"imagePullSecrets": ["registry"]}, ["/imagePullSecrets/0"]),
]


def test_values_that_cannot_work_are_refused_with_the_way_out() -> None:
    for values, parts in REFUSED:
        error = refusal(values)
        for part in parts:
            assert part in error, f"{values}: {error or 'accepted'}"


def test_all_problems_are_reported_at_once() -> None:
    values = {"replicas": 2, "web": {"tls": True}, "ingress": {"enabled": True}}

    assert refusal(values).count("\n  - ") == 3


def test_null_in_place_of_a_value_is_refused_and_all_are_named() -> None:
    """Helm removes such a key, so that no template has its default."""

    def closed(part: dict[str, Any]) -> dict[str, Any]:
        return {
            key: closed(found) if "required" in found else None
            for key, found in part["properties"].items()
            if key in part["required"]
        }

    with helm_python.Chart.load(CHART) as chart:
        assert chart.schema is not None
        values = closed(chart.schema)
    error = refusal(values)

    def check(part: dict[str, Any], path: str) -> None:
        missing = re.findall(rf"'{path}': missing propert\w+ (.*)", error)
        for key, found in part.items():
            if found is None:
                assert f"'{key}'" in "".join(missing), f"{path}/{key}"
            else:
                check(found, f"{path}/{key}")

    check(values, "")
    whole = refusal(dict.fromkeys(values))
    assert all(f"'{key}'" in whole for key in values), whole
    # Maps and lists are empty then.
    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    texts = files({**POSTGRES, **dict.fromkeys(defaults.keys() - values)})
    assert not any("<nil>" in text for text in texts.values())


def test_passwords_are_not_in_the_error() -> None:
    url = "postgresql://a:geheim@c/d"
    error = refusal({"storage": {"type": "postgres", "postgres": {"url": url}}})

    assert error
    assert "geheim" not in error
