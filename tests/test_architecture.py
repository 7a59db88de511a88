"""The layers are a test, not a drawing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import afterrun_exporter

PACKAGE = "afterrun_exporter"
ROOT = Path(afterrun_exporter.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Each layer, and the layers of ours that it may import.
ALLOWED = {
    "conventions": set(),
    "errors": set(),
    "clock": {"core"},
    # Jobs wait for it to start: the standard library, and nothing of ours.
    "client": set(),
    "core": set(),
    "validation_messages": {"core"},
    "auth": {"clock", "core", "errors"},
    "config": {"auth", "conventions", "core", "errors", "validation_messages"},
    "git": {"config", "core", "errors"},
    "storage": {"clock", "core", "errors"},
    "engine": {"clock", "conventions", "core", "errors", "storage"},
    "alertmanager": {
        "clock",
        "conventions",
        "core",
        "engine",
        "errors",
        "rulegen",
        "storage",
    },
    "http_problems": {"auth", "errors"},
    "api": {
        "auth",
        "engine",
        "clock",
        "config",
        "conventions",
        "core",
        "errors",
        "ingest",
        "http_problems",
        "alertmanager",
        "storage",
        "validation_messages",
    },
    "ingest": {
        "auth",
        "clock",
        "core",
        "errors",
        "http_problems",
        "engine",
        "storage",
        "validation_messages",
    },
    "dialects": {
        "auth",
        "clock",
        "core",
        "engine",
        "errors",
        "http_problems",
        "ingest",
        "storage",
    },
    "server": {
        "auth",
        "clock",
        "core",
        "errors",
        "ingest",
        "http_problems",
        "engine",
    },
    "page": {
        "auth",
        "ingest",
        "engine",
        "clock",
        "config",
        "conventions",
        "core",
        "errors",
        "http_problems",
        "alertmanager",
        "storage",
    },
    "exposition": {"clock", "conventions", "core", "errors", "engine"},
    "rulegen": {"conventions", "core", "errors"},
    "importers": {"config", "conventions", "core", "errors", "validation_messages"},
    "app": {
        "dialects",
        "auth",
        "clock",
        "errors",
        "exposition",
        "ingest",
        "page",
        "http_problems",
        "engine",
        "server",
    },
}
#: The composition root: imports everything, and nothing imports it.
TOP = "cli"

# Each dependency, and the only modules that may know about it.
OWNERS = {
    "aiohttp": {"dialects/", "ingest/", "server/", "auth/request_caller.py", "auth/middleware.py", "auth/form_tokens.py", "auth/endpoints.py", "http_problems.py", "app.py", "exposition/endpoint.py",
                "api/", "page/", "alertmanager/"},
    "aiosqlite": {"storage/sqlite/"},
    "asyncpg": {"storage/postgres/"},
    "bcrypt": {"auth/passwords.py"},
    "sqlite3": {"storage/sqlite/"},
    "click": {"cli/"},
    "croniter": {"core/schedules/cron.py"},
    "holidays": {"core/schedules/public_holidays.py"},
    "oncalendar": {"core/schedules/oncalendar.py"},
    "grafana_foundation_sdk": {"rulegen/grafana"},
    "markdown_it": {"page/runbook.py"},
    "jinja2": {"api/reference.py", "page/rendering.py"},
    "markupsafe": {"page/"},
    "re2": {"core/patterns.py"},
    "isal": {"exposition/compression.py"},
    "prometheus_client": {"exposition/self_metrics.py", "dialects/pushgateway/"},
    "msgspec": {"core/", "storage/codec.py", "engine/",
                "config/auto_registered.py", "dialects/", "ingest/"},
    "pydantic": {"api/", "config/", "ingest/reports.py", "validation_messages.py"},
    "pydantic_core": {"config/", "validation_messages.py"},
    "rich": {"cli/progress.py", "cli/tables.py"},
    "structlog": {"http_problems.py", "cli/", "auth/refusal_log.py",
                  "engine/", "page/fallible_reads.py", "alertmanager/", "server/",
                  "storage/sqlite/", "storage/postgres/"},
    "uvloop": {"cli/serve.py"},
    "yaml": {"config/document.py", "importers/places.py", "rulegen/render.py",
             "rulegen/yaml_writer.py"},
}  # fmt: skip

#: Of the standard library, what would make the core impure.
IMPURE = {"asyncio", "logging", "os", "pathlib", "random", "socket", "subprocess",
          "threading", "time"}  # fmt: skip


def name_of(module: Path) -> str:
    return str(module.relative_to(ROOT))


def layer(module: Path) -> str:
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def imports(module: Path) -> tuple[str, ...]:
    """Return the dotted names that *module* imports, anywhere in it."""
    return tuple(_imports(module))


def _imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layers_of_ours(module: Path) -> set[str]:
    parts = (name.split(".") for name in imports(module))
    ours = {part[1] for part in parts if part[0] == PACKAGE and len(part) > 1}
    return {one for one in ours if one != "__version__"}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_point_inward(module: Path) -> None:
    here = layer(module)
    if here in {TOP, "__init__"}:
        return

    assert layers_of_ours(module) - {here} <= ALLOWED[here]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_each_dependency_has_its_home(module: Path) -> None:
    for name in {name.split(".")[0] for name in imports(module)} & OWNERS.keys():
        assert name_of(module).startswith(tuple(OWNERS[name])), name


@pytest.mark.parametrize(
    "module", [m for m in MODULES if layer(m) == "core"], ids=name_of
)
def test_the_core_is_pure(module: Path) -> None:
    assert not {name.split(".")[0] for name in imports(module)} & IMPURE


@pytest.mark.parametrize(
    "module", [m for m in MODULES if layer(m) == "client"], ids=name_of
)
def test_the_client_needs_the_standard_library_alone(module: Path) -> None:
    ours = {PACKAGE, "__future__"}

    assert {name.split(".")[0] for name in imports(module)} - ours <= (
        sys.stdlib_module_names
    )


def test_the_service_knows_the_store_by_its_promises_alone() -> None:
    deciding = tuple(
        ROOT / "engine" / f"{name}.py" for name in ("service", "decisions", "reload")
    )
    wanted = {name for m in deciding for name in imports(m) if "storage" in name}

    assert {name.split(".")[2] for name in wanted} == {"replicas", "store"}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_fits_in_a_head(module: Path) -> None:
    assert len(module.read_text("utf-8").splitlines()) <= 400


def reached_through(module: Path) -> Iterator[str]:
    """Yield what *module* takes of the service besides its operations."""
    parts = {"store", "decisions", "downtimes", "changing"}
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in parts:
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else None
            if isinstance(owner, ast.Name):
                name = owner.id
            if name and name.strip("_") == "service":
                yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "module", [m for m in MODULES if layer(m) != "engine"], ids=name_of
)
def test_the_service_offers_operations_and_nobody_reaches_through_it(
    module: Path,
) -> None:
    assert not list(reached_through(module))


def test_layers_form_no_cycle() -> None:
    """Each layer stands above all that it imports."""
    left = dict(ALLOWED)
    while ready := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ready:
            del left[name]

    assert not left
