"""Run tests with every supported version of the programs that AfterRun depends on.

python -m tests.compat [--suite SUITE ...] [--postgres VERSION ...] [--python VERSION ...]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.compat.debian import CACHE, DownloadError, Suite
from tests.compat.pythons import ROOT, SUITES, environment, interpreter
from tests.compat.results import counts, table
from tests.postgres import PROGRAMS as PROGRAMS_VARIABLE

#: Tests that depend on Prometheus, Alertmanager and their tools.
PARTS: Final = {
    "rules": ["tests/rulegen", "tests/alertmanager/test_descriptions.py"],
    "main job": ["tests/e2e/test_main_job.py"],
    "every alert": ["tests/e2e/test_every_alert.py"],
    "notifications": [
        "tests/e2e/test_merged_inhibitions.py",
        "tests/e2e/test_notification_messages.py",
        "tests/e2e/test_receivers.py",
    ],
    "push": [
        "tests/e2e/test_push.py",
        "tests/e2e/clients/test_pushed_again.py",
        "tests/e2e/clients/test_pushgateway.py",
        "tests/engine/test_pushed_metrics.py",
    ],
    "locked scrape": [
        "tests/e2e/test_tls_and_tokens.py",
        "tests/config/test_web_files.py",
    ],
    "dashboards": ["tests/e2e/test_dashboard_queries.py"],
}
#: They depend on packages from npm, and on no version of these programs.
OTHERS: Final = (
    "tests/rulegen/test_grafana_schema.py",
    "tests/rulegen/kubernetes/test_schemas.py",
)
#: The oldest first; each has a release series of Prometheus and one of Alertmanager.
PROGRAMS: Final = ("bookworm", "trixie", "forky")

#: Each supported version of PostgreSQL, and the suite of Debian that has it.
POSTGRES: Final = {"13": "bullseye", "15": "bookworm", "17": "trixie", "18": "forky"}
#: Tests that depend on it.
STORAGE: Final = {
    "storage": ["tests/storage/postgres", "tests/storage/test_store.py"],
    "replicas": [
        "tests/e2e/replicas/test_killed.py",
        "tests/e2e/replicas/test_migrated_storage.py",
        "tests/e2e/replicas/test_pooler.py",
        "tests/e2e/replicas/test_promotion.py",
        "tests/e2e/replicas/test_two_replicas.py",
    ],
}

#: As in the Makefile.
AT_ONCE: Final = ("--dist=loadfile", "--no-loadscope-reorder")
UNIT: Final = (
    *("--numprocesses=2", *AT_ONCE, "--ignore=tests/e2e", "--hypothesis-profile=unit"),
    *("-m", "not slow and not thorough and not postgres", "-p", "no:schemathesis"),
)

Row = dict[str, str]


def main() -> int:
    """Print a table of results; return 1 if a test failed or a version is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.compat")
    add = parser.add_argument
    add(
        "--suite", nargs="*", choices=PROGRAMS, help="Prometheus and Alertmanager of it"
    )
    add("--postgres", nargs="*", choices=POSTGRES, metavar="VERSION", help="storage")
    add("--python", nargs="*", choices=SUITES, metavar="VERSION", help="the unit tests")
    arguments = parser.parse_args()
    chosen = arguments.suite, arguments.postgres, arguments.python
    if all(one is None for one in chosen):
        chosen = PROGRAMS, [*POSTGRES], [*SUITES]
    tables: list[list[Row]] = []
    failed = False
    checks = (_programs, _postgres, _python)
    for names, check in zip(chosen, checks, strict=True):
        rows = []
        for name in names or ():
            try:
                row, passed = check(name)
            except (DownloadError, subprocess.CalledProcessError) as error:
                row, passed = {"suite": name, "result": str(error)}, False
            rows.append(row)
            failed |= not passed
        tables.append(rows)
    print("\n\n".join(table(rows) for rows in tables if rows), flush=True)
    return int(failed)


def _programs(name: str) -> tuple[Row, bool]:
    """Run the parts with the programs of a suite."""
    programs = Suite(name).programs()
    row = {
        "suite": name,
        "Prometheus": _version(programs / "prometheus"),
        "Alertmanager": _version(programs / "prometheus-alertmanager"),
        "Pushgateway": _version(programs / "prometheus-pushgateway"),
    }
    print(f"## {', '.join(row.values())}", flush=True)
    tests = [path for paths in PARTS.values() for path in paths]
    ignored = [f"--ignore={path}" for path in OTHERS]
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    options = ("--numprocesses=4", *AT_ONCE, *ignored, *tests)
    results, passed = _pytest(
        Path(sys.executable), name, PARTS, options, {"PATH": path}
    )
    return {**row, **results}, passed


def _postgres(version: str) -> tuple[Row, bool]:
    """Run the tests of storage with a version of PostgreSQL."""
    programs = Suite(POSTGRES[version]).postgres(version)
    words = _output(programs / "postgres", "--version").split()
    row = {"PostgreSQL": words[words.index("(PostgreSQL)") + 1]}
    print(f"## PostgreSQL {', '.join(row.values())}", flush=True)
    tests = [path for paths in STORAGE.values() for path in paths]
    options = ("--numprocesses=4", *AT_ONCE, *tests)
    environ = {PROGRAMS_VARIABLE: str(programs)}
    results, passed = _pytest(
        Path(sys.executable), f"postgres{version}", STORAGE, options, environ
    )
    return {**row, **results}, passed


def _version(program: Path) -> str:
    """Return the version of *program*, without Debian's addition."""
    words = _output(program, "--version").split()
    return words[words.index("version") + 1].partition("+")[0]


def _python(version: str) -> tuple[Row, bool]:
    """Run the unit tests with a version of Python."""
    python = interpreter(version)
    if python is None:
        missing = f"not found: no python{version} is on PATH, and pyenv has none"
        return {"Python": version, "unit": missing}, False
    row = {
        "Python": _output(python, "-V").split()[1],
        "from": SUITES[version] or str(python),
    }
    print(f"## Python {', '.join(row.values())}", flush=True)
    inside = environment(version, python)
    results, passed = _pytest(inside, f"python{version}", {"unit": ["tests"]}, UNIT, {})
    return {**row, **results}, passed


def _output(program: Path, *options: str) -> str:
    """Return what *program* prints; some write their version to stderr."""
    command = [str(program), *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout or ended.stderr


def _pytest(
    python: Path,
    name: str,
    parts: Mapping[str, Sequence[str]],
    options: Sequence[str],
    environ: Mapping[str, str],
) -> tuple[Row, bool]:
    """Run pytest; return the results by part, and whether all is well."""
    report = CACHE / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [
        *(str(python), "-m", "pytest", "-q", f"--junitxml={report}"),
        *("-p", "no:cacheprovider", *options),
    ]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, check=False
    )
    if not report.exists():
        return {"result": f"pytest ended with {ended.returncode}"}, False
    results = counts(report, parts)
    return {part: str(count) for part, count in results.items()}, ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
