"""The dashboards, held against the types of Grafana itself by TypeScript."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter.rulegen import grafana
from tests import npm

pytestmark = pytest.mark.thorough

HOME = Path(__file__).parents[1] / "grafana"
OPTIONS = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022"]
MODULES = ["--module", "nodenext", "--moduleResolution", "nodenext"]

#: Compiles a module and returns what TypeScript has against it.
Compile = Callable[[list[str]], str]

#: What `shapes.ts` calls each type of panel.
SHAPES = {
    "row": "Row",
    "stat": "Stat",
    "state-timeline": "States",
    "table": "Table",
    "timeseries": "Lines",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Return TypeScript's compiler, with Grafana's types beside it."""
    npm.install(HOME)
    home = tmp_path_factory.mktemp("typescript")
    (home / "node_modules").symlink_to(HOME / "node_modules")
    shutil.copy(HOME / "shapes.ts", home)

    def call(lines: list[str]) -> str:
        shapes = ", ".join(["Frame", *SHAPES.values()])
        source = [f"import type {{ {shapes} }} from './shapes';", *lines]
        (home / "check.ts").write_text("\n".join(source))
        return npm.run("node", home / "node_modules/typescript/bin/tsc",
                    *OPTIONS, *MODULES, home / "check.ts", cwd=home)  # fmt: skip

    return call


def _parts() -> Iterator[tuple[str, Any]]:
    """Yield each piece of each dashboard, and what it is to Grafana."""
    for text in grafana.dashboards(["team"]).values():
        board = json.loads(text)
        panels = board.pop("panels")
        yield "Frame", board
        yield from ((SHAPES[panel["type"]], panel) for panel in panels)


def _declared(parts: Iterator[tuple[str, Any]], before: str = "") -> list[str]:
    return [
        f"{before}export const part{number}: {shape} = {json.dumps(part)};"
        for number, (shape, part) in enumerate(parts)
    ]


def test_grafana_knows_every_field_and_every_value(compiled: Compile) -> None:
    """Down to the options of each type of panel, which its JSON schema leaves open."""
    assert compiled(_declared(_parts())) == ""


def test_a_misspelt_field_would_be_found(compiled: Compile) -> None:
    """In the frame, in each panel, and in a panel's options."""
    spoilt = [(shape, {**part, "titel": "x"}) for shape, part in _parts()]
    spoilt += [
        (shape, {**part, "options": {**part["options"], "sorted": True}})
        for shape, part in _parts()
        if "options" in part
    ]

    assert compiled(_declared(iter(spoilt), before="// @ts-expect-error\n")) == ""
