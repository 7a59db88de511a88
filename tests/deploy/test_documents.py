"""What docs/kubernetes.md and the README of the chart show works."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from .rendering import (
    CHART,
    ROOT,
    Object,
    charted,
    documents,
    kustomized,
    of_kind,
    overlay,
    pod,
    workload,
)

pytestmark = pytest.mark.thorough

DOCUMENTS: Final = (ROOT / "docs/kubernetes.md", CHART / "README.md")
FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    """Return the blocks of code in *language*."""
    return [
        text
        for path in DOCUMENTS
        for found, text in FENCE.findall(path.read_text("utf-8"))
        if found == language
    ]


def commands(program: str) -> list[list[str]]:
    """Return the words of each command of *program*."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [
        shlex.split(line.partition(" > ")[0])
        for line in lines
        if line.startswith(f"{program} ")
    ]


def values_of(command: list[str]) -> dict[str, Any]:
    """Return the values that a command of Helm sets."""
    values: dict[str, Any] = {}
    for option, text in pairwise(command):
        if option == "--set":
            _merge(values, helm_python.parse_set_string(text))
        elif option == "--set-file":
            path = text.partition("=")[0]
            _merge(values, helm_python.parse_set_string(f"{path}=FILE"))
    return values


def _merge(values: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _merge(values.setdefault(key, {}), value)
        else:
            values[key] = value


def test_commands_of_helm_set_values_that_the_chart_accepts() -> None:
    found = commands("helm")
    assert len(found) > 4
    for command in found:
        if command[1] in {"install", "upgrade"}:
            assert command[2:4] == ["afterrun", "deploy/helm/afterrun-exporter"]
            assert charted(values_of(command)), command
        else:
            assert command[1:3] == ["test", "afterrun"]


def test_the_version_is_the_newest_one_of_the_changelog() -> None:
    """Also in tags of the image."""
    with helm_python.Chart.load(CHART) as chart:
        version = chart.metadata["appVersion"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## \[(\d[\d.]*)\]", changelog, re.MULTILINE)
    assert [version] == released[:1] or not released
    examples = sorted((ROOT / "examples/kubernetes").glob("*.yaml"))
    for path in (*DOCUMENTS, *examples):
        text = path.read_text("utf-8")
        tags = re.findall(r"afterrun-exporter:(\d[\w.]*)|newTag: ([\w.]+)", text)
        assert {one or other for one, other in tags} <= {version}, path


def test_the_image_is_the_one_that_the_manifests_expect() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    found = dict(
        re.findall(r"^(USER|WORKDIR|VOLUME|ENTRYPOINT) (.*)$", dockerfile, re.MULTILINE)
    )
    spec = pod(charted())
    (container,) = spec["containers"]
    user = spec["securityContext"]

    assert found["USER"] == f"{user['runAsUser']}:{user['runAsGroup']}"
    assert found["ENTRYPOINT"] == '["afterrun"]'
    assert "command" not in container
    (data,) = (one for one in container["volumeMounts"] if one["name"] == "data")
    assert found["WORKDIR"] == found["VOLUME"] == data["mountPath"]


def test_every_value_that_is_mentioned_exists() -> None:
    text = DOCUMENTS[0].read_text("utf-8")
    with helm_python.Chart.load(CHART) as chart:
        values = chart.values
    groups = "|".join(name for name in values if isinstance(values[name], dict))
    mentioned = re.findall(rf"`((?:{groups})(?:\.[a-z]\w+)+)(?:=[^`]*)?`", text)
    mentioned = [path for path in mentioned if not path.endswith((".yml", ".md"))]
    assert len(mentioned) > 5
    for path in mentioned:
        node = values
        for key in path.split("."):
            assert key in node, path
            node = node[key]


@pytest.mark.parametrize(
    "text", [one for one in blocks("yaml") if "kind: Kustomization" in one]
)
def test_overlays_that_are_shown_can_be_built(text: str, tmp_path: Path) -> None:
    """In a directory beside a clone, as their paths are."""
    (tmp_path / "afterrun-exporter").symlink_to(ROOT)
    own = tmp_path / "own"
    own.mkdir()
    (own / "afterrun.yml").write_text("jobs: {nightly: {every: 1d}}\n", "utf-8")
    (own / "kustomization.yaml").write_text(text, "utf-8")

    objects = documents(kustomized(own))

    settings = yaml.safe_load(text)
    for image in settings.get("images", ()):
        assert f"{image['newName']}:{image['newTag']}" in str(objects)
    prefix = settings.get("namePrefix", "")
    name = f"{prefix}afterrun-config"
    (config,) = (o for o in objects if o["metadata"]["name"] == name)
    if "files" in text:
        assert "nightly" in config["data"]["afterrun.yml"]
    elif prefix:
        assert_apart(objects, overlay("sqlite"))
        assert_apart(overlay("sqlite"), objects)
    else:
        assert "db.example" in str(objects)
        assert of_kind(objects, "Deployment")


def assert_apart(objects: list[Object], others: list[Object]) -> None:
    """Check that *objects* select their own pods, and none of *others*."""
    own, foreign = (
        workload(each)["spec"]["template"]["metadata"]["labels"]
        for each in (objects, others)
    )
    specs = {one["kind"]: one.get("spec", {}) for one in objects}
    selectors = [
        specs["Service"]["selector"],
        specs["NetworkPolicy"]["podSelector"]["matchLabels"],
        specs["StatefulSet"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= own.items()
        assert not selector.items() <= foreign.items()
    names = [
        {(one["kind"], one["metadata"]["name"]) for one in each}
        for each in (objects, others)
    ]
    assert not names[0] & names[1]
    service = of_kind(objects, "Service")["metadata"]["name"]
    assert specs["StatefulSet"]["serviceName"] == service


def test_secrets_have_the_names_and_keys_that_the_manifests_use() -> None:
    """Those that the commands create, and those that are mounted."""
    created = {
        command[command.index("generic") + 1]: {
            re.sub(r"=.*", "", word.removeprefix("--from-file="))
            for word in command
            if word.startswith("--from-file=")
        }
        for command in commands("kubectl")
        if "secret" in command
    }
    mounted: dict[str, set[str]] = {}
    for command in commands("helm"):
        if command[1] == "test":
            continue
        objects = charted(values_of(command))
        spec = of_kind(objects, "StatefulSet", "Deployment")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        paths = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        for volume in spec["volumes"]:
            if "secret" in volume:
                path = paths[volume["name"]]
                files = re.findall(rf"={path}/(\S+?)'", str(container["args"]))
                name = volume["secret"]["secretName"]
                mounted.setdefault(name, set()).update(files)

    assert mounted
    for name, used in mounted.items():
        assert used <= created[name], name
