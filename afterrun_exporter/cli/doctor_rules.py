"""Comparison of the alerting rules in Prometheus with those of this version."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.cli.doctor_findings import FAILED, OK, Finding, Program
from afterrun_exporter.rulegen.alerting import Data

#: The parts of an expression that depend on the configuration.
_CONFIGURED: Final = re.compile(
    rf'hash!~"[^"]*"|{names.JOB}!~"[^"]*",\s*|,?\s*{names.JOB}!~"[^"]*"'
)
_TEXTS: Final = ("summary", "description")
_FEW: Final = 3
LINK: Final = "alerting rules"
GENERATE: Final = (
    "run `afterrun generate prometheus`, copy rules/afterrun.rules.yml to the rule_files "
    "of prometheus.yml, and reload Prometheus"
)

Rule = Mapping[str, Any]


def rule_finding(prometheus: Program, expected: Data, version: str) -> Finding:
    """Return the finding about the alerting rules that *prometheus* has loaded.

    *expected* is the content of the rule file of this *version*.
    """
    problem = next(_problems(prometheus, list(_rules(expected)), version), None)
    if problem is not None:
        text, fix = problem
        return Finding(LINK, FAILED, text, fix)
    count = sum("alert" in rule for rule in _rules(expected))
    return Finding(LINK, OK, f"all {count} of version {version} are loaded")


def _problems(
    prometheus: Program, expected: list[Rule], version: str
) -> Iterator[tuple[str, str]]:
    """Yield problems and ways out, the most important ones first."""
    loaded = list(_loaded(prometheus))
    by_name = {_key(rule): rule for rule in loaded}
    if not any("alert" in rule and _key(rule) in by_name for rule in expected):
        yield "none of AfterRun is loaded", GENERATE
        return
    missing = [key for rule in expected if (key := _key(rule)) not in by_name]
    if missing:
        yield f"not of version {version}: {_names(missing)} missing", GENERATE
        return
    different = [
        key
        for rule in expected
        if not _same(prometheus, rule, by_name[key := _key(rule)])
    ]
    if different:
        yield f"not of version {version}: {_names(different)} different", GENERATE
    # Before errors: copies write the same series, which is one at times.
    if twice := [key for key, count in Counter(map(_key, loaded)).items() if count > 1]:
        yield (
            f"{_names(twice)} loaded more than once",
            "keep one copy of afterrun.rules.yml in the rule_files of prometheus.yml",
        )
    for rule in loaded:
        if rule.get("lastError"):
            yield f"{rule['name']}: {rule['lastError']}", "see the log of Prometheus"
    outdated = by_name[names.RULES_OUTDATED, ""]
    if prometheus.query(outdated["query"]):
        yield "generated from another configuration than that of the daemon", GENERATE


def _loaded(prometheus: Program) -> Iterator[Rule]:
    """Yield the rules of AfterRun that are loaded."""
    for group in prometheus.json("/api/v1/rules")["data"]["groups"]:
        for rule in group["rules"]:
            if re.match("AfterRun|afterrun:", rule["name"]):
                yield rule


def _rules(content: Data) -> Iterator[Rule]:
    """Yield the rules of a rule file, except those of single jobs."""
    for group in content["groups"]:
        if not group["name"].startswith("afterrun-job-"):
            yield from group["rules"]


def _key(rule: Rule) -> tuple[str, str]:
    """Return the name of a rule, and the label that tells recorded ones apart."""
    name = rule.get("name") or rule.get("alert") or rule["record"]
    is_alert = "alert" in rule or rule.get("type") == "alerting"
    labels = rule.get("labels", {}) if not is_alert else {}
    return name, ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _same(prometheus: Program, rule: Rule, loaded: Rule) -> bool:
    texts, theirs = rule.get("annotations", {}), loaded.get("annotations", {})
    if any(texts.get(one) != theirs.get(one) for one in _TEXTS):
        return False
    return _formatted(prometheus, rule["expr"]) == _formatted(
        prometheus, loaded["query"]
    )


def _formatted(prometheus: Program, expression: str) -> str:
    """Return *expression* as Prometheus formats it, without configured parts."""
    generic = _CONFIGURED.sub("", expression)
    return str(prometheus.json("/api/v1/format_query", query=generic)["data"])


def _names(keys: list[tuple[str, str]]) -> str:
    """Return the first names of *keys* in words."""
    listing = list(dict.fromkeys(name for name, _ in keys))
    more = f" and {len(listing) - _FEW} more" if len(listing) > _FEW else ""
    verb = "is" if len(listing) == 1 else "are"
    return f"{', '.join(listing[:_FEW])}{more} {verb}"
