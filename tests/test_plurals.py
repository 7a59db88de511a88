"""Counts have nouns in the right number, wherever a text counts something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import afterrun_exporter
from afterrun_exporter.client import plurals as plurals_of_clients
from afterrun_exporter.core.daily_figures import OUTCOMES
from afterrun_exporter.core.period_report_html import summary
from afterrun_exporter.core.period_reports import Figures, Report
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.page.overview_rows import headline

ROOT: Final = Path(afterrun_exporter.__file__).parent
MODULES: Final = sorted(ROOT.rglob("*.py"))

#: Things that texts count.
_NOUNS: Final = """
    alerts attempts changes checks errors fields files items jobs lines links messages
    metrics monitors others problems receivers records reports rows rules runs scrapes
    slots times tokens values violations warnings
"""
COUNTED: Final = re.compile(rf" (?:[a-z]+ )?({'|'.join(_NOUNS.split())})\b")
#: Limits, which are never 1, have names in capital letters.
LIMIT: Final = re.compile(r"(\w+\.)*_?[A-Z][A-Z_]*")
#: Texts of counts that exceed a limit or are at least 2, as "module: expression".
AT_LEAST_TWO: Final = frozenset(
    {
        "api/request_parsing.py: len(all_of_it)",
        "cli/flags.py: hard",
        "cli/jobs.py: len(matches)",
        "config/backtest_rules.py: count",
        "config/building.py: len(jobs)",
        "core/alert_settings.py: factor",
        # Here "runs" is a verb.
        "core/crontab.py: item",
        "importers/cron_syntax.py: text",
        "core/alerts.py: format_number(job.slower_than.factor)",
        "dialects/cronitor/monitor_api.py: len(items)",
        "dialects/cronitor/monitors.py: len(values)",
        "exposition/endpoint.py: max_requests",
        "ingest/batches.py: len(items)",
        "page/descriptions.py: format_number(bound.value)",
        "page/descriptions.py: format_number(slower.factor)",
        "page/parameters.py: times",
        "page/query.py: times",
        "server/listen.py: allowed",
        # Names of things that have rows.
        "storage/postgres/copying.py: name",
        "storage/sqlite/export.py: str(self._path)",
    }
)


def counts(module: Path) -> Iterator[str]:
    """Yield the number and the noun of each text of *module* that counts something."""
    source = module.read_text("utf-8")
    if not COUNTED.search(source):
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for number, text in zip(node.values, node.values[1:], strict=False):
            if not (
                isinstance(number, ast.FormattedValue)
                and isinstance(text, ast.Constant)
                and (match := COUNTED.match(str(text.value)))
            ):
                continue
            expression = ast.unparse(number.value)
            key = f"{module.relative_to(ROOT)}: {expression}"
            if not (LIMIT.fullmatch(expression) or key in AT_LEAST_TWO):
                yield f"{key} {match[1]}"


def test_texts_count_with_the_help_of_plural() -> None:
    assert [count for module in MODULES for count in counts(module)] == []


TEMPLATES: Final = sorted((ROOT / "page" / "templates").glob("*.html"))
IN_TEMPLATES: Final = re.compile(rf"\}}\}} ({'|'.join(_NOUNS.split())})\b")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_templates_count_only_several_things(template: Path) -> None:
    """The others have both numbers in an expression."""
    several = {
        # Causes have at least three jobs, and charts are folded from two on.
        ("overview.html", "jobs"),
        ("job.html", "times"),
        ("job.html", "runs"),
        ("alerts.html", "alerts"),
    }
    text = template.read_text("utf-8")

    assert {(template.name, m[1]) for m in IN_TEMPLATES.finditer(text)} <= several


@pytest.mark.parametrize("function", [plural, plurals_of_clients.plural])
@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs")]
)
def test_one_thing_is_singular(function: object, count: int, expected: str) -> None:
    assert callable(function)
    assert function(count, "run") == expected
    assert function(count, "job is", "jobs are") == (
        f"{count} job is" if count == 1 else f"{count} jobs are"
    )


def test_large_counts_have_separators() -> None:
    assert plural(1000, "run") == "1,000 runs"


def report(number: int) -> Report:
    figures = dict.fromkeys((one.value for one in OUTCOMES), 0)
    total = Figures(
        **figures | {"ok": number},
        jobs=number,
        runs=number,
        ok_ratio=1.0 if number else None,
        due=number,
        missed=0,
        on_time_ratio=1.0 if number else None,
        p50=None,
        p95=None,
        p99=None,
        broken_seconds=0.0,
        incidents=0,
    )
    return Report(
        since="2026-11-20",
        until="2026-11-21",
        created="",
        total=total,
        days=[],
        groups=[],
        worst=[],
        jobs=[],
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 jobs; no runs in this period."),
        (1, "1 job, 1 run, 100% of them ok, 100% of 1 slot on time."),
        (2, "2 jobs, 2 runs, 100% of them ok, 100% of 2 slots on time."),
    ],
)
def test_reports_count_correctly(number: int, text: str) -> None:
    assert summary(report(number)) == text


@pytest.mark.parametrize(
    ("broken", "text"),
    [(0, "Nothing is broken"), (1, "1 job is broken"), (2, "2 jobs are broken")],
)
def test_the_overview_counts_correctly(broken: int, text: str) -> None:
    assert headline(broken, 5) == text
