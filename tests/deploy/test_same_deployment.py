"""The overlays and the chart are the same deployment, in two languages."""

from __future__ import annotations

from typing import Any

import pytest

from .rendering import (
    KUSTOMIZE,
    POSTGRES,
    Object,
    charted,
    container,
    documents,
    kustomized,
    of_kind,
    overlay,
    pod,
    workload,
)

pytestmark = pytest.mark.thorough


def specs(objects: list[Object]) -> dict[str, Any]:
    """Return the specs of all objects by kind, without what must differ."""
    found = {one["kind"]: one.get("spec", {}) for one in objects}
    for name in ("Pod", "ConfigMap"):
        found.pop(name, None)
    return found


@pytest.mark.parametrize(("name", "values"), [("sqlite", {}), ("postgres", POSTGRES)])
def test_the_overlay_and_the_chart_agree(name: str, values: dict[str, Any]) -> None:
    built, rendered = overlay(name), charted(values)
    for each in (container(built), container(rendered)):
        # The URL of the database, and a tag.
        each.pop("envFrom", None)
        each.pop("env", None)
        assert each.pop("image").partition(":")[0] == "afterrun-exporter"
    of_kind(rendered, "Service")["spec"].pop("type")

    assert specs(built) == specs(rendered)


def test_both_overlays_run_the_same_pod() -> None:
    one, other = (overlay(name) for name in ("sqlite", "postgres"))
    for each in (pod(one), pod(other)):
        for key in ("volumes", "containers", "topologySpreadConstraints"):
            each.pop(key, None)
    assert pod(one) == pod(other)

    one, other = (overlay(name) for name in ("sqlite", "postgres"))
    for each in (container(one), container(other)):
        for key in ("args", "envFrom", "volumeMounts"):
            each.pop(key, None)
    assert container(one) == container(other)


def test_the_base_starts_no_daemon() -> None:
    kinds = {one["kind"] for one in documents(kustomized(KUSTOMIZE / "base"))}

    assert kinds == {"ConfigMap", "NetworkPolicy", "Service", "ServiceAccount"}


def test_the_name_of_the_configuration_does_not_depend_on_it() -> None:
    """With another name a change would restart the pods, and not be reloaded."""
    names = [
        one["metadata"]["name"]
        for one in overlay("postgres")
        if one["kind"] == "ConfigMap"
    ]

    assert "afterrun-config" in names
    # A changed URL does restart them.
    assert any(name.startswith("afterrun-storage-") for name in names)
    assert workload(overlay("sqlite"))["spec"]["podManagementPolicy"] == "Parallel"
