"""The objects, held against the schemas of Kubernetes and prometheus-operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import npm
from tests.kubernetes_schemas import invalid, prepare

from .objects import INSIDE, OUTSIDE, configured, objects

pytestmark = pytest.mark.thorough

OPTIONS = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022"]
MODULES = ["--module", "nodenext", "--moduleResolution", "nodenext"]

SECTIONS = {
    "a Service": INSIDE,
    "an exporter outside": OUTSIDE,
    "defaults": "",
    "a Secret": INSIDE + "  alertmanager: Secret\n",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the schemas."""
    return prepare(tmp_path_factory.mktemp("schemas"))


def unknown(home: Path, made: list[Any]) -> str:
    """Return what TypeScript has against the keys, unknown ones included."""
    shapes = sorted({*(kind for kind, _ in _typed(made))})
    lines = [f"import type {{ {', '.join(shapes)} }} from './shapes.js';"]
    for number, (kind, value) in enumerate(_typed(made)):
        lines.append(f"export const o{number}: {kind} = {json.dumps(value)};")
    (home / "check.ts").write_text("\n".join(lines))
    return npm.run(
        "node", home / "node_modules/typescript/bin/tsc",
        *OPTIONS, *MODULES, home / "check.ts", cwd=home,
    )  # fmt: skip


def _typed(made: list[Any]) -> Iterator[tuple[str, Any]]:
    for one in made:
        yield one["kind"], one
        if one["kind"] == "AlertmanagerConfig":
            yield from (("Route", route) for route in _below(one["spec"]["route"]))


def _below(route: Any) -> Iterator[Any]:
    """Yield the routes below one, which the schema leaves open."""
    for child in route.get("routes", ()):
        yield child
        yield from _below(child)


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_the_schemas_accept_every_object(home: Path, section: str) -> None:
    made = objects(configured(section))
    below = [
        {
            "apiVersion": "monitoring.coreos.com/v1alpha1",
            "kind": "AlertmanagerConfig",
            "spec": {"route": route},
        }
        for kind, route in _typed(made)
        if kind == "Route"
    ]
    assert invalid(home, [*made, *below]) == ""


def test_the_objects_have_no_key_that_the_schemas_do_not_know(home: Path) -> None:
    made = [one for each in SECTIONS.values() for one in objects(configured(each))]
    assert unknown(home, made) == ""


def test_the_schemas_refuse_wrong_values_and_unknown_keys(home: Path) -> None:
    (rule,) = (one for one in objects(configured()) if one["kind"] == "PrometheusRule")
    rule["spec"]["groups"][0]["interval"] = "soon"
    assert "pattern" in invalid(home, [rule])
    rule["spec"]["group"] = []
    assert "may only specify known properties" in unknown(home, [rule])
