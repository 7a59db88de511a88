"""The supported versions are the same everywhere, and results are counted by part."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.compat.__main__ import OTHERS, PARTS, POSTGRES, STORAGE
from tests.compat.pythons import ROOT, SUITES
from tests.compat.results import counts, table

REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.a.test_one" name="x"/>
<testcase classname="tests.a.sub.test_two.TestClass" name="x"><failure/></testcase>
<testcase classname="tests.b.test_three" name="x"><skipped/></testcase>
<testcase classname="tests.b.test_three_more" name="x"><failure/></testcase>
<testcase classname="" name="tests.b.test_three"><error/></testcase>
</testsuite></testsuites>
"""


def test_the_versions_of_python_are_tested_documented_and_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    declared = [
        line.removeprefix(prefix)
        for line in project["classifiers"]
        if line.startswith(prefix)
    ]
    operations = (ROOT / "docs/operations.md").read_text("utf-8")

    assert declared == [*SUITES]
    assert project["requires-python"] == f">={declared[0]}"
    assert f"| Python | {', '.join(declared)} |" in operations
    assert f"--python {declared[-1]}" in (ROOT / "Makefile").read_text("utf-8")


def test_the_versions_of_postgresql_are_documented() -> None:
    operations = (ROOT / "docs/operations.md").read_text("utf-8")
    set_up = (ROOT / "docs/postgres.md").read_text("utf-8")

    assert f"| PostgreSQL | {', '.join(POSTGRES)} |" in operations
    assert f"PostgreSQL {next(iter(POSTGRES))} or later" in set_up


def test_each_part_is_there() -> None:
    parts = (*PARTS.values(), *STORAGE.values())
    paths = [path for part in parts for path in part]

    assert [path for path in (*paths, *OTHERS) if not (ROOT / path).exists()] == []


def test_results_are_counted_by_part(tmp_path: Path) -> None:
    """What belongs to no part is not lost: it is in the first one."""
    report = tmp_path / "report.xml"
    report.write_text(REPORT)

    found = counts(report, {"a": ["tests/a"], "b": ["tests/b/test_three.py"]})

    row = {"suite": "x", **{part: str(count) for part, count in found.items()}}
    assert table([row, {"suite": "other"}]).splitlines() == [
        "suite  a                   b",
        "x      1 passed, 3 FAILED  1 skipped",
        "other  -                   -",
    ]
