"""The objects mean what the files for Prometheus and Alertmanager mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterrun_exporter.config import Config, parse
from afterrun_exporter.core.kubernetes import Kubernetes
from afterrun_exporter.rulegen import alertmanager, grafana, render, rule_tests
from afterrun_exporter.rulegen.kubernetes import objects as made_of
from tests.rulegen.conftest import Run

from .objects import INSIDE, configured, documents, files, objects, rules
from .operator import FOLDER, alertmanager_yml

#: An alert as Alertmanager hands it to templates.
ALERT = {
    "status": "firing",
    "labels": {
        "alertname": "AfterRunJobRuleViolated",
        "job_name": "backup",
        "rule": "rows < 5 & more",
        "severity": "critical",
    },
    "annotations": {
        "description": "backup: rows was 9, expected < 5.",
        "page_url": "https://example.com/jobs/backup",
        "runbook_url": "https://example.com/runbook",
        "message": "<b>9</b> rows",
    },
    "generatorURL": "http://prometheus/graph?a=1&b=2",
    "startsAt": "2026-11-22T01:00:00Z",
}
DATA = {
    "receiver": "oncall",
    "status": "firing",
    "alerts": [ALERT],
    "groupLabels": {"alertname": "AfterRunJobRuleViolated"},
    "commonLabels": ALERT["labels"],
    "commonAnnotations": ALERT["annotations"],
    "externalURL": "http://alertmanager",
}


def own(config: Config) -> dict[str, Any]:
    """Return what afterrun.yml alone comes to for Alertmanager, as YAML has it."""
    data = alertmanager.own_config(
        config.jobs,
        config.label_keys,
        config.alertmanager,
        (),
        config.alertmanager.smtp,
    )
    plain: dict[str, Any] = yaml.safe_load(render.to_yaml(data))
    return plain


def spec_of(config: Config, kind: str) -> Any:
    (one,) = (one for one in objects(config) if one["kind"] == kind)
    return one["spec"]


def without_location(data: Any) -> Any:
    for one in data["time_intervals"]:
        for interval in one["time_intervals"]:
            # It is UTC, as without one.
            interval.pop("location", None)
    return data


def texts(value: Any) -> list[str]:
    """Return the texts in a receiver that use templates."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) and "{{" in value else []


def test_the_rules_are_those_of_the_rule_file() -> None:
    config = configured()
    assert spec_of(config, "PrometheusRule") == rules(config)


def test_promtool_passes_the_generated_tests_with_the_rules_of_the_object(
    run: Run, tmp_path: Path
) -> None:
    config = parse("jobs: {backup: {alerting: dedicated, rules: [rows > 0]}}" + INSIDE)
    spec = spec_of(config, "PrometheusRule")
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec))
    checked = run("promtool", "check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    made = rule_tests.tests_file(config.jobs.values(), (), "rules.yml", "", "")
    (tmp_path / "test.yml").write_text(render.to_yaml(made))
    tested = run("promtool", "test", "rules", tmp_path / "test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_rules_that_one_object_cannot_hold_are_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = ", ".join(f"job-{n}: {{alerting: dedicated}}" for n in range(9))
    config = parse(f"jobs: {{{jobs}}}")
    monkeypatch.setattr(made_of, "MOST_BYTES", 30_000)
    several = list(made_of.prometheus_rules(Kubernetes(), rules(config)))
    names = [one["metadata"]["name"] for one in several]
    assert names == ["afterrun", *(f"afterrun-{n}" for n in range(2, len(several) + 1))]
    assert len(several) > 2
    groups = [group for one in several for group in one["spec"]["groups"]]
    assert groups == rules(config)["groups"]
    assert all(len(yaml.safe_dump(one)) < 35_000 for one in several)


def test_an_alertmanager_config_routes_and_inhibits_as_alertmanager_yml() -> None:
    config = configured()
    made = alertmanager_yml(spec_of(config, "AlertmanagerConfig"))
    expected = without_location(own(config))
    assert made["route"] == expected["route"]
    assert made["inhibit_rules"] == expected["inhibit_rules"]
    assert made["time_intervals"] == expected["time_intervals"]


def test_receivers_differ_in_nothing_but_the_definitions_before_their_texts() -> None:
    config = configured()
    made = alertmanager_yml(spec_of(config, "AlertmanagerConfig"))["receivers"]
    expected = own(config)["receivers"]
    for one, two in zip(texts(made), texts(expected), strict=True):
        assert one.replace("{{- template", "{{ template").endswith(two)
    blank_made, blank_expected = map(json.dumps, (made, expected))
    for text in texts(made):
        blank_made = blank_made.replace(json.dumps(text), '"text"')
    for text in texts(expected):
        blank_expected = blank_expected.replace(json.dumps(text), '"text"')
    assert json.loads(blank_made) == json.loads(blank_expected)


@pytest.mark.thorough
def test_messages_are_the_same_without_a_file_of_templates(
    run: Run, tmp_path: Path
) -> None:
    config = configured()
    template = tmp_path / "afterrun.tmpl"
    template.write_text(alertmanager.template_text(config.alertmanager))
    none = tmp_path / "none.tmpl"
    none.write_text("")
    data = tmp_path / "data.json"
    data.write_text(json.dumps(DATA))

    def rendered(text: str, templates: Path, kind: str) -> str:
        result = run(
            "amtool", "template", "render", f"--template.glob={templates}",
            f"--template.text={text}", f"--template.type={kind}",
            f"--template.data={data}",
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout

    made = alertmanager_yml(spec_of(config, "AlertmanagerConfig"))["receivers"]
    pairs = set(zip(texts(made), texts(own(config)["receivers"]), strict=True))
    assert len(pairs) > 5
    for inline, plain in pairs:
        kind = "html" if "afterrun.html" in plain else "text"
        assert rendered(inline, none, kind) == rendered(plain, template, kind)


@pytest.mark.parametrize("kind", ["AlertmanagerConfig", "Secret"])
def test_amtool_accepts_what_alertmanager_gets(
    run: Run, tmp_path: Path, kind: str
) -> None:
    config = configured(f"{INSIDE}  alertmanager: {kind}\n")
    (made,) = documents(files(config)["alertmanager.yaml"])
    assert made["kind"] == kind
    if kind == "Secret":
        text = made["stringData"]["alertmanager.yaml"]
        text = text.replace("/etc/alertmanager/config", str(tmp_path))
        (tmp_path / "afterrun.tmpl").write_text(made["stringData"]["afterrun.tmpl"])
    else:
        text = yaml.safe_dump(alertmanager_yml(made["spec"]))
    (tmp_path / "alertmanager.yml").write_text(text)
    checked = run("amtool", "check-config", tmp_path / "alertmanager.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_secret_holds_alertmanager_yml_with_paths_of_the_pod() -> None:
    config = configured(INSIDE + "  alertmanager: Secret\n")
    (secret,) = documents(files(config)["alertmanager.yaml"])
    held = secret["stringData"]["alertmanager.yaml"]
    text = alertmanager.config_text(config.jobs, config.label_keys, config.alertmanager)
    moved = text.replace(f"{FOLDER}/", "/etc/alertmanager/secrets/receivers/")
    assert held == moved.replace(
        "templates/*.tmpl", "/etc/alertmanager/config/*.tmpl"
    ).replace("/config/*.tmpl", "/config/afterrun.tmpl")
    assert secret["metadata"]["name"] == "jobs-alertmanager"


def test_a_base_is_part_of_the_secret_alone() -> None:
    base = {
        "global": {"smtp_smarthost": "mail:25", "smtp_from": "a@example.com"},
        "route": {"receiver": "theirs"},
        "receivers": [{"name": "theirs"}],
    }
    config = parse(
        "alertmanager: {base: their.yml, receivers: {ops: [email: o@example.com]}}"
        "\nkubernetes: {alertmanager: Secret}"
    )
    (secret,) = documents(files(config, base)["alertmanager.yaml"])
    held = yaml.safe_load(secret["stringData"]["alertmanager.yaml"])
    assert held["global"]["smtp_smarthost"] == "mail:25"


def test_dashboards_are_config_maps_that_the_sidecar_finds() -> None:
    config = configured()
    maps = documents(files(config)["dashboards.yaml"])
    held = {name: text for one in maps for name, text in one["data"].items()}
    assert held == grafana.dashboards(config.label_keys)
    for one in maps:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"] == {"grafana_folder": "Batch jobs"}
