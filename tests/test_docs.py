"""What can be used is documented, and what is documented can be used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from afterrun_exporter import conventions as names
from afterrun_exporter.api.openapi import AnyOperation
from afterrun_exporter.api.operation import PREFIX
from afterrun_exporter.api.operations import OPERATIONS
from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.cli.group import COMMANDS, afterrun
from afterrun_exporter.cli.main import CLIENT
from afterrun_exporter.client.options import PARSERS
from afterrun_exporter.config.schema import FileSpec, JobSpec, RuleSpec
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.status import Status
from afterrun_exporter.exposition.families import FAMILIES
from afterrun_exporter.http_problems import KINDS, STATUS
from afterrun_exporter.ingest.reports import Report
from afterrun_exporter.ingest.vocabulary import STATUSES
from afterrun_exporter.validation_messages import keys as written_keys

ROOT = Path(__file__).parents[1]
DOCS = {
    path: path.read_text("utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
}
CHANGELOG = ROOT / "CHANGELOG.md"
EVERYTHING = "\n".join(text for path, text in DOCS.items() if path != CHANGELOG)
WORDS = set(re.findall(r"[\w.-]+", EVERYTHING))
LONGEST_README = 150


def document(name: str) -> str:
    """Return the text of docs/*name*.md."""
    return DOCS[ROOT / "docs" / f"{name}.md"]


def flags() -> list[str]:
    context = click.Context(afterrun)
    options = [
        option
        for command in COMMANDS
        for parameter in afterrun.get_command(context, command).params  # type: ignore[union-attr]
        for option in parameter.opts
    ]
    options += [
        option
        for make in PARSERS.values()
        for action in make({})._actions
        for option in action.option_strings
    ]
    return sorted({one for one in options if one.startswith("--")} - {"--help"})


def keys(model: type[BaseModel]) -> set[str]:
    """Return the keys of *model* and of the models inside it."""
    found = set(model.model_fields)
    for field in model.model_fields.values():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= keys(inner)
    return found


def absent(texts: Iterable[str], document: str) -> list[str]:
    """Return the *texts* that are not in *document*."""
    return [text for text in texts if text not in document]


def test_every_flag_is_documented() -> None:
    documented = set(re.findall(r"--[a-z][a-z.-]*[a-z]", EVERYTHING))

    assert set(flags()) - documented == set()


def test_every_command_is_documented() -> None:
    commands = [f"afterrun {command}" for command in (*COMMANDS, *CLIENT)]

    assert absent(commands, EVERYTHING) == []


def test_the_readme_is_short() -> None:
    assert len(DOCS[ROOT / "README.md"].splitlines()) < LONGEST_README


def test_the_readme_links_to_every_document() -> None:
    links = [f"](docs/{path.name})" for path in (ROOT / "docs").glob("*.md")]

    assert absent(links, DOCS[ROOT / "README.md"]) == []


def test_every_metric_is_documented() -> None:
    families = [f"`{family}`" for family in names.HELP]

    assert absent(families, document("metrics")) == []


def test_every_documented_metric_exists() -> None:
    documented = set(re.findall(r"`(afterrun_[a-z_]+)`", document("metrics")))

    assert documented <= names.HELP.keys()
    assert {family.name for family in FAMILIES} <= documented


#: The rows of the tables of clients and schedulers.
CLIENTS = {
    row
    for table in re.findall(
        r"^\| (?:client|what) \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)",
        document("clients"),
        re.MULTILINE,
    )
    for row in table.splitlines()
}


def test_there_are_tables_of_clients() -> None:
    assert len(CLIENTS) >= 25


def test_every_client_is_proven_by_an_existing_test() -> None:
    for row in CLIENTS:
        proof = row.split("|")[-2].strip()

        assert re.fullmatch(r"`tests/e2e/clients?/test_\w+\.py`", proof), row
        assert (ROOT / proof.strip("`")).is_file(), row


ALERTS = [value for value in vars(names).values() if str(value).startswith("AfterRun")]


def test_every_alert_is_in_the_list_and_the_runbook() -> None:
    assert absent([f"`{alert}`" for alert in ALERTS], document("prometheus")) == []
    assert absent([f"## {alert}\n" for alert in ALERTS], document("runbook")) == []


def test_every_configuration_key_is_documented() -> None:
    documented = {part for word in WORDS for part in (word, *word.split("."))}

    assert (keys(FileSpec) | keys(JobSpec) | keys(RuleSpec)) - documented == set()


def test_every_field_of_a_report_is_documented() -> None:
    fields = [f"`{field}`" for field in Report.model_fields]

    assert absent(fields, document("reports")) == []


def test_every_word_for_an_outcome_is_documented() -> None:
    assert absent([f"`{word}`" for word in STATUSES], document("reports")) == []


def documented_scopes() -> dict[tuple[str, str], Scope | None]:
    """Return the scope of each method and route in docs/security.md."""
    result: dict[tuple[str, str], Scope | None] = {}
    text = document("security").partition("## Scopes\n")[2]
    for row in re.findall(
        r"^\| (.+) \| (.+) \| (.+) \|$", text.split("\n## ")[0], re.MULTILINE
    ):
        scope, methods, where = row
        if scope == "scope" or scope.startswith("-"):
            continue
        required = None if scope == "none" else Scope(scope.strip("`"))
        for method in methods.replace("any", endpoints.ANY).split(", "):
            for path in re.findall(r"`([^`]+)`", where):
                result[method.strip("`"), path] = required
    return result


def test_every_route_is_documented_with_its_scope() -> None:
    """Trailing slashes are optional, and a UUID counts as a job."""

    def documented(route: str) -> str:
        path = route.replace(endpoints.TELEMETRY, "/metrics").replace("{slash}", "")
        return path.rstrip("/") or "/"

    assert documented_scopes() == {
        (method, documented(route)): scope
        for (method, route), scope in endpoints.TABLE.items()
    }


@pytest.mark.parametrize("name", ["configuration", "security"])
def test_every_scope_is_documented(name: str) -> None:
    assert absent([f"`{scope.value}`" for scope in Scope], document(name)) == []


API = document("api")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_of_the_api_is_documented(
    operation: AnyOperation,
) -> None:
    """With its parameters and the fields of its body."""
    words = set(re.findall(r"\w+", API))
    names = [*keys(operation.query), *written_keys(operation.body)]

    if operation.path != f"{PREFIX}/":
        assert re.search(f"`{operation.method} {re.escape(operation.path)}[`?]", API)
    assert set(names) <= words


def test_every_kind_of_problem_is_documented() -> None:
    kinds = [*KINDS.values(), *(error.kind for error in STATUS)]

    assert absent([f"`{kind}`" for kind in kinds], API) == []


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of *path*, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", DOCS[path], re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", DOCS[path]):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_addresses_in_alerts_are_sections_of_the_runbook() -> None:
    sections = anchors(ROOT / "docs" / "runbook.md")

    assert {alert.lower() for alert in ALERTS} <= sections
    assert names.RUNBOOK.endswith("/docs/runbook.md")


def test_every_outcome_and_state_is_in_the_glossary() -> None:
    words = [f"| `{word}` |" for word in (*Outcome, *Status)]

    assert absent(words, document("glossary")) == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_named_module_and_folder_exists(name: str) -> None:
    roots = (ROOT, ROOT / "afterrun_exporter")
    named = re.findall(r"`([\w./]+(?:\.\w+|/))`", DOCS[ROOT / name])
    paths = {path for path in named if "/" in path and "NNNN" not in path}

    assert len(paths) > 10
    assert {p for p in paths if not any((root / p).exists() for root in roots)} == set()
