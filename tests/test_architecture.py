"""The layers are a test, not a drawing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

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
    "aiohttp": {"dialects/", "ingest/", "server/", "auth/request_caller.py", "auth/middleware.py", "auth/form_tokens.py", "auth/endpoints.py", "auth/route_prefix.py", "http_problems.py", "app.py", "exposition/endpoint.py",
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
    "prometheus_client": {"exposition/self_metrics.py", "exposition/request_metrics.py",
                          "dialects/pushgateway/"},
    "msgspec": {"core/", "storage/codec.py", "engine/",
                "config/auto_registered.py", "dialects/", "ingest/"},
    "pydantic": {"api/", "config/", "ingest/reports.py", "validation_messages.py"},
    "pydantic_core": {"config/", "validation_messages.py"},
    "rich": {"cli/progress.py", "cli/tables.py"},
    "structlog": {"http_problems.py", "cli/", "auth/refusal_log.py",
                  "engine/", "page/fallible_reads.py", "alertmanager/", "server/",
                  "storage/opening.py", "storage/sqlite/", "storage/postgres/"},
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


def imports(module: Path) -> tuple[str, ...]:
    """Return the dotted names that *module* imports, anywhere in it."""
    return facts(module)[0]


@cache
def facts(module: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what *module* imports, and what it reaches through the service.

    Trees of all modules at once would be a burden to the garbage collector.
    """
    nodes = list(ast.walk(ast.parse(module.read_text("utf-8"))))
    return tuple(_imports(nodes)), tuple(_reached_through(nodes))


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layers_of_ours(module: Path) -> set[str]:
    parts = (name.split(".") for name in imports(module))
    ours = {part[1] for part in parts if part[0] == PACKAGE and len(part) > 1}
    return {one for one in ours if one != "__version__"}


def packages(module: Path) -> set[str]:
    """Return the top packages that *module* imports."""
    return {name.split(".")[0] for name in imports(module)}


def test_imports_point_inward() -> None:
    outward = {}
    for module in MODULES:
        here = layer(module)
        if here not in {TOP, "__init__"}:
            outward[name_of(module)] = layers_of_ours(module) - {here} - ALLOWED[here]

    assert {name: layers for name, layers in outward.items() if layers} == {}


def test_each_dependency_has_its_home() -> None:
    homeless = [
        (name_of(module), package)
        for module in MODULES
        for package in packages(module) & OWNERS.keys()
        if not name_of(module).startswith(tuple(OWNERS[package]))
    ]

    assert homeless == []


def test_the_core_is_pure() -> None:
    impure = [
        (name_of(module), packages(module) & IMPURE)
        for module in MODULES
        if layer(module) == "core" and packages(module) & IMPURE
    ]

    assert impure == []


def test_the_client_needs_the_standard_library_alone() -> None:
    known = {PACKAGE, "__future__", *sys.stdlib_module_names}
    others = [
        (name_of(module), packages(module) - known)
        for module in MODULES
        if layer(module) == "client" and packages(module) - known
    ]

    assert others == []


def test_the_service_knows_the_store_by_its_promises_alone() -> None:
    deciding = tuple(
        ROOT / "engine" / f"{name}.py" for name in ("service", "decisions", "reload")
    )
    wanted = {name for m in deciding for name in imports(m) if "storage" in name}

    assert {name.split(".")[2] for name in wanted} == {"replicas", "store"}


def test_a_module_fits_in_a_head() -> None:
    lengths = {name_of(m): len(m.read_text("utf-8").splitlines()) for m in MODULES}

    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def _reached_through(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield what is taken of the service besides its operations."""
    parts = {"store", "decisions", "downtimes", "changing"}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in parts:
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else None
            if isinstance(owner, ast.Name):
                name = owner.id
            if name and name.strip("_") == "service":
                yield f"{node.lineno}: {ast.unparse(node)}"


def test_the_service_offers_operations_and_nobody_reaches_through_it() -> None:
    reached = [
        (name_of(module), taken)
        for module in MODULES
        if layer(module) != "engine"
        for taken in facts(module)[1]
    ]

    assert reached == []


def test_layers_form_no_cycle() -> None:
    """Each layer stands above all that it imports."""
    left = dict(ALLOWED)
    while ready := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ready:
            del left[name]

    assert not left
