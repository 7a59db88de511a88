"""The objects of the chart and of the overlays: valid, and what a cluster needs."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Final

import click
import kubernetes_validate
import pytest
from kubernetes_validate import utils

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.config import parse
from tests import kubernetes_schemas
from tests.kubernetes_schemas import prepare

from .rendering import (
    OVERLAYS,
    ROOT,
    Object,
    charted,
    container,
    documents,
    of_kind,
    overlay,
    pod,
    workload,
)
from .value_sets import VALUES

pytestmark = pytest.mark.thorough

#: The oldest and the newest one that the chart supports and there is a schema of.
VERSIONS: Final = ("1.26", kubernetes_validate.latest_version())
#: Groups whose schemas are not those of Kubernetes itself.
CUSTOM: Final = ("monitoring.coreos.com/", "gateway.networking.k8s.io/")

BUILDS: Final = {
    **{f"the overlay {name}": (overlay, name) for name in OVERLAYS},
    **{f"the chart with {name}": (charted, values) for name, values in VALUES.items()},
}


@cache
def built(name: str) -> list[Object]:
    """Return the objects of one overlay, or of the chart with some values."""
    build, argument = BUILDS[name]
    objects: list[Object] = build(argument)  # type: ignore[operator]
    return objects


@pytest.fixture(params=BUILDS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of one overlay, or of the chart with some values."""
    return built(request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_kubernetes_accept_every_object(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Equal ones are checked once, because each check takes a tenth of a second."""
    monkeypatch.setattr(utils, "schema_contents", cache(utils.schema_contents))
    every = {repr(one): one for name in BUILDS for one in built(name)}
    core = [one for one in every.values() if not one["apiVersion"].startswith(CUSTOM)]

    for one in core:
        kubernetes_validate.validate(one, version, strict=True)
    core[0]["spce"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(core[0], version, strict=True)
    del core[0]["spce"]


def test_the_schemas_accept_the_examples() -> None:
    paths = sorted((ROOT / "examples/kubernetes").glob("*.yaml"))
    assert len(paths) > 1
    for path in paths:
        for one in documents(path.read_text("utf-8")):
            kubernetes_validate.validate(one, VERSIONS[-1], strict=True)


def test_what_the_examples_add_runs_without_rights() -> None:
    """As the profile "restricted" of Pod Security requires."""
    found = 0
    for path in sorted((ROOT / "examples/kubernetes").glob("*.yaml")):
        for one in documents(path.read_text("utf-8")):
            spec = one.get("spec", {})
            spec = spec.get("jobTemplate", {}).get("spec", spec)
            spec = spec.get("template", {}).get("spec", {})
            own = [
                each
                for key in ("initContainers", "containers")
                for each in spec.get(key, ())
                if not each["image"].startswith("example/")
            ]
            for each in own:
                found += 1
                rights = {
                    **spec.get("securityContext", {}),
                    **each["securityContext"],
                }
                assert rights["runAsNonRoot"] is True, path
                assert rights["allowPrivilegeEscalation"] is False, path
                assert rights["capabilities"] == {"drop": ["ALL"]}, path
                assert rights["seccompProfile"] == {"type": "RuntimeDefault"}, path
    assert found == 3


def test_the_copy_to_postgresql_finds_the_database_and_has_its_owner() -> None:
    path = ROOT / "examples/kubernetes/to-postgres.yaml"
    (job,) = documents(path.read_text("utf-8"))
    spec = job["spec"]["template"]["spec"]
    claim = spec["volumes"][0]["persistentVolumeClaim"]["claimName"]
    (copy,) = spec["containers"]
    name, *arguments = copy["args"]
    command = afterrun.get_command(click.Context(afterrun), name)

    sqlite = overlay("sqlite")
    (template,) = workload(sqlite)["spec"]["volumeClaimTemplates"]
    assert (
        claim
        == f"{template['metadata']['name']}-{workload(sqlite)['metadata']['name']}-0"
    )
    assert spec["securityContext"] == pod(sqlite)["securityContext"]
    assert copy["securityContext"] == container(sqlite)["securityContext"]
    assert "--storage.path=/data/afterrun.db" in container(sqlite)["args"]
    assert "sqlite:/data/afterrun.db" in arguments
    assert command is not None
    command.make_context(name, arguments, resilient_parsing=True)
    secret = {one["name"]: one for one in pod(overlay("postgres"))["volumes"]}
    assert secret["postgres"] in spec["volumes"]


def test_the_schemas_of_other_projects_accept_every_object(tmp_path: Path) -> None:
    custom = [
        deepcopy(one)
        for name in BUILDS
        for one in built(name)
        if one["apiVersion"].startswith(CUSTOM)
    ]
    home = prepare(tmp_path)

    assert {one["kind"] for one in custom} == {"HTTPRoute", "ServiceMonitor"}
    assert kubernetes_schemas.invalid(home, custom) == ""
    custom[0]["spec"] = {"endpoints": "none", "parentRefs": "none"}
    assert kubernetes_schemas.invalid(home, custom[:1]) != ""


def test_the_daemon_is_started_with_options_that_exist(objects: list[Object]) -> None:
    name, *arguments = container(objects)["args"]
    command = afterrun.get_command(click.Context(afterrun), name)

    # Raises for unknown flags and for values that a flag does not accept.
    assert command is not None
    command.make_context(name, list(arguments), resilient_parsing=False)


def test_arguments_are_not_repeated(objects: list[Object]) -> None:
    flags = [one.partition("=")[0] for one in container(objects)["args"]]
    flags = [flag for flag in flags if flag != "--web.trusted-proxy"]

    assert len(flags) == len(set(flags))


def test_one_service_selects_the_pods_and_only_them(objects: list[Object]) -> None:
    """A second one would be scraped as well, and the pod of `helm test` never."""
    service = of_kind(objects, "Service")
    selector = service["spec"]["selector"]
    selected = workload(objects)["spec"]["selector"]["matchLabels"]
    (port,) = service["spec"]["ports"]
    (target,) = container(objects)["ports"]
    labels = workload(objects)["spec"]["template"]["metadata"]["labels"]

    assert selector == selected
    assert selector.items() <= labels.items()
    assert selector.items() <= service["metadata"]["labels"].items()
    assert (port["name"], port["targetPort"]) == ("http", "http")
    assert (target["name"], target["containerPort"]) == ("http", 10707)
    for one in objects:
        if one["kind"] == "Pod":
            assert not selector.items() <= one["metadata"]["labels"].items()
        if one["kind"] == "StatefulSet":
            assert one["spec"]["serviceName"] == service["metadata"]["name"]


def test_every_pod_runs_without_rights(objects: list[Object]) -> None:
    pods = [pod(objects), *(one["spec"] for one in objects if one["kind"] == "Pod")]
    for spec in pods:
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"].get("runAsUser", 10707) == 10707
        assert spec["securityContext"].get("fsGroup", 10707) == 10707
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
    for one in objects:
        if one["kind"] == "ServiceAccount":
            assert one["automountServiceAccountToken"] is False
            assert one["metadata"]["name"] == pod(objects)["serviceAccountName"]


def test_every_mount_has_a_volume_and_none_is_by_sub_path(
    objects: list[Object],
) -> None:
    claims = workload(objects)["spec"].get("volumeClaimTemplates", [])
    volumes = [one["name"] for one in pod(objects)["volumes"]]
    volumes += [one["metadata"]["name"] for one in claims]
    mounts = container(objects)["volumeMounts"]

    assert sorted(volumes) == sorted(one["name"] for one in mounts)
    assert len({one["mountPath"] for one in mounts}) == len(mounts)
    assert not any("subPath" in one for one in mounts)
    assert {"/data", "/tmp"} <= {one["mountPath"] for one in mounts}  # noqa: S108
    # Files that the daemon is given are below a mount.
    for argument in container(objects)["args"]:
        flag, _, path = argument.partition("=")
        if path.startswith("/") and not flag.endswith(("git-path", "-prefix")):
            assert any(path.startswith(one["mountPath"]) for one in mounts), argument


def test_secrets_are_readable_for_the_group_alone(objects: list[Object]) -> None:
    for volume in pod(objects)["volumes"]:
        if "secret" in volume and volume["name"] != "slack":
            assert volume["secret"]["defaultMode"] == 0o440


def test_the_database_has_one_daemon_or_is_postgresql(objects: list[Object]) -> None:
    spec = workload(objects)["spec"]
    arguments = container(objects)["args"]
    if any(one.startswith("--storage.path=/data/") for one in arguments):
        assert spec["replicas"] == 1
        assert spec.get("strategy", {"type": "Recreate"}) == {"type": "Recreate"}
        assert not any(one["kind"] == "PodDisruptionBudget" for one in objects)
    else:
        assert workload(objects)["kind"] == "Deployment"
        assert spec["replicas"] > 1
        assert "AFTERRUN_STORAGE_URL" in str(objects)


def test_a_pod_can_stop_before_it_is_killed(objects: list[Object]) -> None:
    text = " ".join(container(objects)["args"])
    times = {"delay": 0, "timeout": 8}
    times |= {
        name: int(value)
        for name, value in re.findall(r"--web\.shutdown-(\w+)=(\d+)s", text)
    }

    assert pod(objects)["terminationGracePeriodSeconds"] > sum(times.values())


def test_the_configuration_is_correct(objects: list[Object]) -> None:
    for one in objects:
        if one["kind"] == "ConfigMap" and "afterrun.yml" in one["data"]:
            assert parse(one["data"]["afterrun.yml"]).hash
            mounted: Any = pod(objects)["volumes"]
            assert one["metadata"]["name"] in str(mounted)


def test_names_fit(objects: list[Object]) -> None:
    """A StatefulSet makes a label of its name and eleven more characters."""
    for one in objects:
        longest = 52 if one["kind"] == "StatefulSet" else 63
        assert len(one["metadata"]["name"]) <= longest, one["kind"]
        for key, value in one["metadata"].get("labels", {}).items():
            assert len(value) <= 63, key


def test_the_network_policy_opens_what_the_daemon_uses(objects: list[Object]) -> None:
    for policy in (one["spec"] for one in objects if one["kind"] == "NetworkPolicy"):
        labels = workload(objects)["spec"]["template"]["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
        ports = {
            one["port"] for rule in policy["egress"] for one in rule.get("ports", ())
        }
        assert 53 in ports
        text = str(container(objects))
        assert (5432 in ports) == ("AFTERRUN_STORAGE_URL" in text or "envFrom" in text)
        assert (443 in ports) == ("--config.git-url" in text)
        # An empty rule would open everything.
        assert {} not in policy["egress"]
