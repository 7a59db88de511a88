"""docs/runbook.md: every alert leads to it, and what it says to type works."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen import prometheus

Run = Callable[..., subprocess.CompletedProcess[str]]

URLS = {
    rule["alert"]: rule["annotations"]["runbook_url"]
    for group in prometheus.rules_file()["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
FAMILIES = {value for value in vars(names).values() if isinstance(value, str)}


@pytest.fixture(scope="module")
def runbook(root: Path) -> str:
    """Return the whole runbook."""
    return (root / "docs/runbook.md").read_text()


def _blocks(runbook: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", runbook, re.DOTALL | re.MULTILINE)


def test_every_alert_has_its_section_and_no_section_is_left_over(runbook: str) -> None:
    """The link in the notification ends where the help is."""
    sections = re.findall(r"^## (\S+)$", runbook, re.MULTILINE)

    assert sections == list(dict.fromkeys(sections))
    assert set(sections) == set(URLS)
    assert {name: f"{names.RUNBOOK}#{name.lower()}" for name in sections} == URLS


def test_every_section_says_when_the_alert_ends(runbook: str) -> None:
    """What the reader wants to know before going back to bed."""
    sections = runbook.split("\n## ")[1:]

    silent = {
        section.split("\n")[0]
        for section in sections
        if not re.search(
            r"^(Ends|It needs no silence)|\bends by itself", section, re.MULTILINE
        )
    }

    assert silent == set()


def test_prometheus_can_read_every_query(
    run: Run, tmp_path: Path, runbook: str
) -> None:
    """And none of them has a misspelt metric."""
    lines = "".join(_blocks(runbook, "promql")).splitlines()
    rules: list[Any] = [
        {"record": f"runbook:{number}", "expr": expr}
        for number, expr in enumerate(lines)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]}))

    result = run("promtool", "check", "rules", path)

    assert result.returncode == 0, result.stdout + result.stderr
    assert set(re.findall(r"\bafterrun_\w+", " ".join(lines))) <= FAMILIES


def test_every_command_is_one_that_a_shell_can_read(run: Run, runbook: str) -> None:
    """Pasted at 3 a.m., quotes and continuation lines included."""
    for block in _blocks(runbook, "sh"):
        result = run("bash", "-n", "-c", block)

        assert result.returncode == 0, block + result.stderr


def test_the_database_understands_every_statement(root: Path, runbook: str) -> None:
    """The schema may change; the runbook then changes with it."""
    database = sqlite3.connect(":memory:")
    for path in sorted((root / "afterrun_exporter/storage/sqlite/sql").glob("*.sql")):
        database.executescript(path.read_text())
    words = shlex.split("".join(_blocks(runbook, "sh")), comments=True)

    statements = [
        words[position + 3] for position, word in enumerate(words) if word == "sqlite3"
    ]

    assert len(statements) == 3
    for statement in statements:
        database.execute(statement)
    database.close()
