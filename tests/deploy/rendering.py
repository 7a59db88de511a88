"""What the Helm chart and the overlays of kustomize render, as objects."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy/helm/afterrun-exporter"
KUSTOMIZE: Final = ROOT / "deploy/kubernetes"
OVERLAYS: Final = ("sqlite", "postgres")

URL: Final = "postgresql://afterrun@postgres/afterrun"
#: The values that are the same deployment as the overlay.
POSTGRES: Final = {
    "storage": {
        "type": "postgres",
        "postgres": {"url": URL, "passwordSecret": "afterrun-postgres"},
    }
}

Object = dict[str, Any]


def files(
    values: Mapping[str, Any] | None = None,
    release: str = "afterrun",
    chart: Path = CHART,
) -> dict[str, str]:
    """Return the text of each template; raise HelmError if the values are refused."""
    with helm_python.Chart.load(chart) as loaded:
        texts = loaded.render(dict(values or {}), name=release, namespace="batch")
    return {Path(path).name: text for path, text in texts.items() if text.strip()}


def charted(
    values: Mapping[str, Any] | None = None,
    release: str = "afterrun",
    chart: Path = CHART,
) -> list[Object]:
    """Return the objects of the chart with *values*."""
    texts = files(values, release, chart)
    return [
        one
        for name, text in texts.items()
        if name != "NOTES.txt"
        for one in documents(text)
    ]


def refusal(values: Mapping[str, Any], release: str = "afterrun") -> str:
    """Return the error for *values*; "" if they are accepted."""
    try:
        files(values, release)
    except helm_python.HelmError as error:
        return str(error)
    return ""


@cache
def kustomized(folder: Path) -> str:
    """Return what kustomize builds of *folder*."""
    here = ROOT / "build/kustomize/usr/bin/kustomize"
    program = shutil.which("kustomize") or (str(here) if here.exists() else "")
    if not program:
        pytest.fail("kustomize is missing: run make test, it downloads it")
    done = subprocess.run(
        [program, "build", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Deprecated fields are warnings.
    assert done.stderr == ""
    return done.stdout


def overlay(name: str) -> list[Object]:
    """Return the objects of an overlay."""
    return documents(kustomized(KUSTOMIZE / "overlays" / name))


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses keys that occur twice, as the API server does."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{node.start_mark}: {twice}"
        return super().construct_mapping(node, deep=deep)


def documents(text: str) -> list[Object]:
    """Return the objects in *text*; an octal mode such as 0440 is a number."""
    return [one for one in yaml.load_all(text, _UniqueKeys) if one]


def of_kind(objects: list[Object], *kinds: str) -> Object:
    """Return the only one of *kinds*."""
    (found,) = (one for one in objects if one["kind"] in kinds)
    return found


def workload(objects: list[Object]) -> Object:
    """Return the StatefulSet or the Deployment."""
    return of_kind(objects, "StatefulSet", "Deployment")


def pod(objects: list[Object]) -> Object:
    """Return the spec of the pods of the daemon."""
    spec: Object = workload(objects)["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object]) -> Object:
    """Return the container of the daemon."""
    (only,) = pod(objects)["containers"]
    found: Object = only
    return found
