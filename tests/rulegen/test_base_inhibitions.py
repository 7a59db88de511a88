"""Inhibit rules of a base configuration, judged by the alerts that they apply to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from amlint.routing import Inhibitor
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config import parse
from afterrun_exporter.errors import GenerateError
from afterrun_exporter.rulegen import alertmanager, matchers, render
from afterrun_exporter.rulegen.base_inhibitions import Silencer, excluding_ours

CONFIG: Final = parse(
    "labels: [team]\n"
    "jobs:\n"
    "  backup: {severity: critical, labels: {team: data}}\n"
    "  db: {severity: page, rules: [{expr: rows > 0, severity: ticket}]}\n"
    "alertmanager: {labels: {cluster: eu}}\n"
)
CRITICAL: Final = "source_matchers: [severity = critical]"
WARNING: Final = "target_matchers: [severity = warning]"


def silencer(rule: str | Mapping[str, Any]) -> Silencer | None:
    """Return what is found of an only rule, given as the inside of a YAML mapping."""
    data = yaml.safe_load(f"{{{rule}}}") if isinstance(rule, str) else rule
    ours = CONFIG.alertmanager
    base = {"inhibit_rules": [data]}
    found = alertmanager.silencers(CONFIG.jobs, CONFIG.label_keys, ours, base)
    return found[0] if found else None


@pytest.mark.parametrize(
    "rule",
    [
        f"{CRITICAL}, {WARNING}, equal: [alertname, instance]",
        f"{CRITICAL}, {WARNING}, equal: [alertname, cluster, service]",
        f"{CRITICAL}, {WARNING}, equal: [alertname, team]",
        f"{CRITICAL}, {WARNING}, equal: [job]",
        f"{CRITICAL}, {WARNING}, equal: []",
        f"{CRITICAL}, {WARNING}",
        "source_match: {severity: critical}, target_match: {severity: warning}",
        "source_match: {severity: critical}, target_match_re: {severity: warning|info}",
        "source_match_re: {severity: crit.*}, target_match: {severity: warning}",
        "source_match: {severity: critical}, target_matchers: ['severity != critical']",
        f"{CRITICAL}, target_matchers: ['severity !~ \"crit.*|none\"']",
        f"{CRITICAL}, target_matchers: ['{{severity=~\"(warning|info)\",}}']",
        'source_matchers: [\'severity="critical",instance=""\'], ' + WARNING,
        "source_matchers: [severity = page], target_matchers: ['severity != page']",
        "source_matchers: [severity = ticket], target_matchers: [severity = page]",
        # No job has it yet, and none need be generated for when one does.
        "source_matchers: [severity = sev1], target_matchers: [severity = sev2]",
        "source_matchers: ['severity =~ \"(?i)CRIT.*\"'], " + WARNING,
        f"source_matchers: [severity = critical, team = data], {WARNING}",
        f"source_matchers: [cluster = eu, severity = critical], {WARNING}",
        f"source_matchers: [team = sales, severity = critical], {WARNING}",
        (
            "source_matchers: ['alertname =~ \".*Missed\"'], "
            "target_matchers: ['alertname =~ \".*Failing\"']"
        ),
        # The watchdog always fires.
        f"source_matchers: [severity = none], {WARNING}",
        # Alerts about the exporter have no job_name.
        f"{CRITICAL}, {WARNING}, equal: [job_name]",
        "source_matchers: ['alertname =~ \".+Down\"'], " + WARNING,
    ],
)
def test_a_rule_that_was_not_made_for_our_alerts_is_kept_from_them(rule: str) -> None:
    found = silencer(rule)

    assert found is not None
    assert found.is_excluded
    assert silencer(excluding_ours(yaml.safe_load(f"{{{rule}}}"))) is None


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            f"{CRITICAL}, target_matchers: ['alertname =~ \"AfterRunJob.*\"']",
            "add 'job_name' to its equal",
        ),
        (
            "source_matchers: ['job_name = db'], target_matchers: [alertname = AfterRunJobMissed]",
            "another job's",
        ),
        (
            "source_matchers: [alertname = ClusterDown], target_matchers: ['alertname != ClusterDown']",
            'matches alertname = "ClusterDown" silence',
        ),
        (
            "source_matchers: [alertname = ClusterDown], target_matchers: ['severity =~ \".+\"'], equal: [cluster]",
            "ClusterDown",
        ),
        (
            "source_matchers: ['alertname =~ \"Cluster[0-9]{3}Down\"'], target_matchers: ['severity != none']",
            "Cluster",
        ),
        (
            "source_matchers: [alertname = NodeDown], target_matchers: ['severity =~ \".+\"'], equal: [instance]",
            "has no label instance",
        ),
        ("source_matchers: [alertname = Down], target_matchers: []", "Down"),
    ],
)
def test_a_rule_that_may_be_meant_is_named_and_kept(rule: str, words: str) -> None:
    found = silencer(rule)

    assert found is not None
    assert not found.is_excluded
    assert words in found.message


@pytest.mark.parametrize(
    "rule",
    [
        f"{CRITICAL}, {WARNING}, equal: [alertname, job_name]",
        f"{CRITICAL}, {WARNING}, equal: [alertname, instance, job_name]",
        f"{CRITICAL}, target_matchers: [severity = warning, 'alertname !~ \"AfterRun.+\"']",
        f'{CRITICAL}, target_matchers: [severity = warning, instance != ""]',
        f"source_matchers: [severity = critical, region = x], {WARNING}, equal: [region, alertname]",
        f"{CRITICAL}, target_matchers: [severity = warning, cluster = us]",
        f"{CRITICAL}, target_matchers: [severity = warning, service = web]",
        # Two-sided: neither silences the other.
        f"{CRITICAL}, target_matchers: [severity = critical]",
        "source_matchers: [], target_matchers: []",
        "source_matchers: ['alertname =~ \".+\"'], target_matchers: ['alertname =~ \".+\"']",
        # Written for our alerts, on purpose.
        "source_matchers: [alertname = ClusterDown], target_matchers: ['alertname =~ \"AfterRun.+\"']",
        "source_matchers: [alertname = AfterRunExporterDown], target_matchers: ['alertname =~ \"AfterRunJob.*\"'], equal: [job]",
        "target_matchers: [alertname = InfoInhibitor]",
        # Alertmanager refuses these itself.
        f"source_matchers: severity, {WARNING}",
        "source_matchers: ['a b'], target_matchers: []",
        "source_match: [], target_match: []",
        "equal: severity",
    ],
)
def test_a_rule_that_silences_no_other_alert_of_ours_is_left_alone(rule: str) -> None:
    assert silencer(rule) is None


def test_our_own_rules_in_a_base_are_left_alone() -> None:
    """A generated file of an earlier version may be the base."""
    ours = yaml.safe_load(
        alertmanager.config_text(CONFIG.jobs, CONFIG.label_keys, CONFIG.alertmanager)
    )

    for rule in ours["inhibit_rules"]:
        assert silencer(rule) is None, rule


ALERTNAMES = ["AfterRunJobMissed", "AfterRunJobFailing", "AfterRunExporterDown"]
VALUES: Final = {
    "alertname": [
        *ALERTNAMES,
        "AfterRun.+",
        "AfterRunJob.*",
        "NodeDown",
        "Node.*|After.*",
    ],
    "severity": ["critical", "warning", "warning|critical", "crit.*", ""],
    "job_name": ["backup", "db", "", ".+"],
    "team": ["data", "", "data|sales"],
    "cluster": ["eu", "us"],
    "instance": ["", "a:1", ".+"],
    "region": ["", "x"],
}
OPERATORS = ["=", "!=", "=~", "!~"]


@st.composite
def sides(draw: st.DrawFn) -> list[str]:
    labels = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=3))
    return [
        f"{label} {draw(st.sampled_from(OPERATORS))} "
        f'"{draw(st.sampled_from(VALUES[label]))}"'
        for label in labels
    ]


RULES = st.fixed_dictionaries(
    {
        "source_matchers": sides(),
        "target_matchers": sides(),
        "equal": st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=3),
    }
)


def of_job(name: str, job: str, severity: str, team: str) -> dict[str, str]:
    labels = {"alertname": name, "job_name": job, "severity": severity, "team": team}
    return {k: v for k, v in labels.items() if v} | {"job": "afterrun", "cluster": "eu"}


OURS: Final = [
    of_job(name, job, severity, team)
    for name in ALERTNAMES[:2]
    for job in ("backup", "db")
    for severity in ("critical", "warning")
    for team in ("data", "")
]


@given(RULES)
def test_no_rule_between_jobs_goes_unnoticed(rule: dict[str, Any]) -> None:
    """Another reading of Alertmanager's rules finds no silenced job that we miss."""
    inhibitor = Inhibitor([rule])
    silenced = [
        (source, target)
        for target in OURS
        for source in OURS
        if source["job_name"] != target["job_name"]
        if inhibitor.inhibited_by(target, [source])
    ]
    found = silencer(rule)

    assert not silenced or found is not None, silenced[0]
    if found is not None:
        # What it names as an example is one.
        assert inhibitor.inhibited_by(found.target, [found.source])
        assert found.source != found.target
        if found.is_excluded:
            kept_away = Inhibitor([excluding_ours(rule)])
            assert not any(kept_away.inhibited_by(t, OURS) for t in OURS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", [("a", "=", "b")]),
        (" a != b ", [("a", "!=", "b")]),
        ("a=", [("a", "=", "")]),
        ('a=~"x|y"', [("a", "=~", "x|y")]),
        ('{a="b", c!~"d,e",}', [("a", "=", "b"), ("c", "!~", "d,e")]),
        ('a="q\\"\\n\\\\d"', [("a", "=", 'q"\n\\d')]),
        ('"a b"="c"', [("a b", "=", "c")]),
        ("foo=bar,dings!=bums", [("foo", "=", "bar"), ("dings", "!=", "bums")]),
    ],
)
def test_a_matcher_is_read_as_alertmanager_reads_it(
    text: str, expected: list[tuple[str, str, str]]
) -> None:
    assert [(m.label, m.op, m.value) for m in matchers.parse(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "route: {receiver: a}\ninhibit_rules: []\ninhibit_rules: []\n",
            "base.yml:3: 'inhibit_rules' is a duplicate key, first on line 2",
        ),
        (
            "route:\n  receiver: a\n  routes:\n    - {match: {a: b, 'a': c}}\n",
            "base.yml:4: 'a' is a duplicate key, first on line 4",
        ),
        (
            "receivers: [{name: a,\n  name: b}]\nx: {1: a,\n '1': b}\n",
            (
                "base.yml:2: 'name' is a duplicate key, first on line 1; "
                "base.yml:4: '1' is a duplicate key, first on line 3"
            ),
        ),
    ],
)
def test_a_key_that_is_there_twice_is_refused(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "base.yml"
    path.write_text(text)

    with pytest.raises(GenerateError) as refused:
        render.read_yaml(path)

    assert str(refused.value) == expected


def test_a_merge_and_an_alias_are_no_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "base.yml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: [*a, *a]\n")

    assert render.read_yaml(path)["b"] == {"x": 3, "y": 2}
