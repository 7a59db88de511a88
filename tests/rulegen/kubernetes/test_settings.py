"""What `kubernetes:` sets, what it refuses, and what the objects leave to the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.config import Config, parse
from afterrun_exporter.errors import ConfigError, GenerateError

from .objects import (
    GOOD,
    INSIDE,
    OUTSIDE,
    configured,
    documents,
    files,
    objects,
    rules,
)


def scrape(config: Config) -> Any:
    (one,) = documents(files(config)["scrape.yaml"])
    return one


def said(config: Config) -> str:
    """Return what the file for Alertmanager says at its top."""
    lines = files(config)["alertmanager.yaml"].splitlines()
    return "\n".join(line for line in lines if line.startswith("#"))


def test_every_object_has_the_namespace_and_the_labels_that_select_it() -> None:
    for one in objects(configured()):
        assert one["metadata"]["namespace"] == "monitoring"
        assert one["metadata"]["labels"]["release"] == "kube-prometheus-stack"
        assert one["metadata"]["name"].startswith("jobs")


def test_without_settings_the_namespace_is_that_of_kubectl() -> None:
    for one in objects(parse("jobs: {}")):
        assert one["metadata"].keys() <= {"name", "labels"}


def test_a_service_monitor_selects_the_service_of_the_exporter() -> None:
    spec = scrape(configured())["spec"]
    (endpoint,) = spec["endpoints"]
    assert spec["selector"] == {"matchLabels": {"app": "afterrun"}}
    assert spec["namespaceSelector"] == {"matchNames": ["batch"]}
    assert {key: endpoint[key] for key in ("port", "path", "scheme", "interval")} == {
        "port": "web",
        "path": "/m",
        "scheme": "https",
        "interval": "15s",
    }
    credentials = {"name": "afterrun-token", "key": "token"}
    assert endpoint["authorization"] == {"type": "Bearer", "credentials": credentials}


def test_exporters_outside_the_cluster_have_a_scrape_config() -> None:
    made = scrape(configured(OUTSIDE))
    assert made["kind"] == "ScrapeConfig"
    targets = [{"targets": ["afterrun.example.com:10707"]}]
    assert made["spec"]["staticConfigs"] == targets
    assert made["spec"]["scrapeInterval"] == "1m"


@pytest.mark.parametrize("section", [INSIDE, OUTSIDE])
def test_the_scrape_job_has_the_name_that_rules_and_inhibitions_know(
    section: str,
) -> None:
    """The operator would name it after the Service or the object."""
    spec = scrape(configured(section))["spec"]
    relabelings = spec.get("relabelings") or spec["endpoints"][0]["relabelings"]
    named = {"action": "replace", "targetLabel": "job", "replacement": "afterrun"}
    assert named in relabelings


def test_another_name_of_the_scrape_job_comes_from_the_labels_of_alerts() -> None:
    config = parse("alertmanager: {labels: {job: afterrun-eu}}")
    (endpoint,) = scrape(config)["spec"]["endpoints"]
    assert endpoint["relabelings"][0]["replacement"] == "afterrun-eu"


def test_equal_configurations_give_equal_files() -> None:
    assert files(configured()) == files(configured())


def test_each_setting_changes_the_content_of_files_and_no_name() -> None:
    """A file of another name would leave the old object behind."""
    sections = [INSIDE, OUTSIDE, "", INSIDE + "  alertmanager: Secret\n"]
    names = {frozenset(files(configured(section))) for section in sections}
    assert names == {
        frozenset({"rules.yaml", "scrape.yaml", "alertmanager.yaml", "dashboards.yaml"})
    }


def test_a_time_zone_is_refused_where_only_utc_can_be_written() -> None:
    text = (GOOD / "alertmanager.yml").read_text()
    with pytest.raises(GenerateError) as caught:
        files(parse(text + INSIDE))
    assert str(caught.value) == (
        "alertmanager.mute_times.weekends is in the time zone 'Europe/Riga', and an "
        "AlertmanagerConfig has only UTC: write it in UTC, or set "
        "kubernetes.alertmanager: Secret"
    )
    assert files(parse(text + INSIDE + "  alertmanager: Secret\n"))


@pytest.mark.parametrize("kind", ["AlertmanagerConfig", "Secret"])
def test_all_files_that_cannot_be_keys_of_one_secret_are_refused(kind: str) -> None:
    config = parse(f"""
        kubernetes: {{alertmanager: {kind}}}
        alertmanager:
          receivers:
            a: [slack: {{url_file: a/url}}, slack: {{url_file: b/url}}]
            b: [discord: {{url_file: "c/web hook"}}]
    """)
    with pytest.raises(GenerateError) as caught:
        files(config)
    assert str(caught.value) == (
        "'a/url' and 'b/url' would be the same key 'url' of a Secret: give the files of "
        "secrets different names; the name of 'c/web hook' cannot be the key of a "
        "Secret: use letters, digits, -, _ and ."
    )


def test_the_file_says_how_to_create_the_secret_of_receivers() -> None:
    assert """\
#   kubectl create secret generic receivers --namespace monitoring \\
#     --from-file=discord_url=secrets/discord_url \\
#     --from-file=pagerduty=secrets/pagerduty \\
#     --from-file=slack_url=secrets/slack_url \\
#     --from-file=smtp=secrets/smtp \\
#     --from-file=token=secrets/token""" in said(configured())


def test_without_secrets_no_secret_is_asked_for() -> None:
    assert "kubectl" not in said(parse("jobs: {}"))


def test_the_file_says_what_the_cluster_decides() -> None:
    config = parse("""
        kubernetes: {namespace: monitoring}
        alertmanager:
          base: their.yml
          receivers: {ops: [email: ops@example.com, slack: {channel: "#ops"}]}
    """)
    text = said(config)
    assert 'only alerts with namespace="monitoring"' in text
    assert "set kubernetes.alert_labels.namespace" in text
    assert "alertmanagerConfigMatcherStrategy: {type: None}" in text
    assert "mails use that of the Alertmanager object" in text
    assert "Slack messages without url_file use the URL of the Alertmanager" in text
    assert "Nothing of their.yml is in it" in text


def test_every_alert_has_the_label_that_the_operator_routes_by() -> None:
    """Also those of no exporter, whose series have no namespace."""
    config = parse(
        "jobs: {backup: {alerting: dedicated}}\n"
        "kubernetes: {namespace: batch, alert_labels: {namespace: batch}}"
    )
    (one,) = documents(files(config)["rules.yaml"])
    made = [rule for group in one["spec"]["groups"] for rule in group["rules"]]
    expected = [rule for group in rules(config)["groups"] for rule in group["rules"]]
    for rule in expected:
        if "alert" in rule:
            rule["labels"] = {**rule.get("labels", {}), "namespace": "batch"}
    assert made == expected
    assert "namespace" not in said(config)


def test_the_file_of_a_secret_says_where_it_is_used() -> None:
    text = said(configured(INSIDE + "  alertmanager: Secret\n"))
    assert "configSecret: jobs-alertmanager" in text
    assert "secrets: [receivers]" in text


WRONG = {
    "namespace: Monitoring": "kubernetes.namespace: 'Monitoring' is not a namespace",
    "name: -a": "kubernetes.name: '-a' is not a short name",
    f"name: {'a' * 41}": "is not a short name",
    "labels: {release: a b}": "kubernetes.labels.release: 'a b' is not the value",
    "labels: {a/b/c: x}": "'a/b/c' is not the key of a label",
    "labels: {release: 1}": "kubernetes.labels.release",
    "alert_labels: {severity: x}": "label 'severity' is set by AfterRun",
    "alert_labels: {__name__: x}": "'__name__' is a name of Prometheus itself",
    "alert_labels: {job: x}": "label 'job' is that of the target",
    "alert_labels: {instance: x}": "label 'instance' is that of the target",
    "alert_labels: {team: x}": "label 'team' is set for each job",
    "alert_labels: {a: '{{ x }}'}": "'{{ x }}' is not the value of a label",
    "secret: A_b": "kubernetes.secret: 'A_b' is not a name of an object",
    "alertmanager: secret": "kubernetes.alertmanager",
    "scrape: {port: 10707}": "kubernetes.scrape.port",
    "scrape: {port: Http}": "'Http' is not the name of a port",
    "scrape: {service: {}}": "has no labels: it would select every Service",
    "scrape: {path: metrics}": "'metrics' is not a path",
    "scrape: {targets: [afterrun]}": "is not host:port",
    "scrape: {targets: ['a:1'], port: http}": "has targets and port",
    "scrape: {token: {secret: a}}": "kubernetes.scrape.token",
    "scrape: {token: {secret: a, key: a b}}": "'a b' is not a key of a Secret",
    "dashboards: {labels: {}}": "has no labels: no sidecar would find the dashboards",
}


@pytest.mark.parametrize(("section", "message"), WRONG.items(), ids=WRONG)
def test_what_kubernetes_would_refuse_is_refused(section: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"labels: [team]\nkubernetes: {{{section}}}")
    assert message in str(caught.value)


def test_an_empty_section_is_all_defaults() -> None:
    config = parse("kubernetes:")
    assert config.kubernetes is not None
    assert files(config) == files(parse("jobs: {}"))


def test_it_does_not_make_the_rules_outdated() -> None:
    assert parse("jobs: {}").hash == parse("jobs: {}" + INSIDE).hash


def test_alerts_that_the_daemon_posts_must_have_the_same_labels() -> None:
    """Otherwise they are others for Alertmanager, and each alert is notified twice."""
    text = (
        "jobs: {}\nkubernetes: {alert_labels: {namespace: batch, dc: x}}\n"
        "alertmanager: {push_to: [http://a:9093], labels: {%s}}"
    )
    for labels, missing in (
        ("", ["namespace", "dc"]),
        ("namespace: other, dc: x", ["namespace"]),
    ):
        with pytest.raises(ConfigError) as caught:
            parse(text % labels)
        lines = str(caught.value).splitlines()
        assert [line.split(": ")[1] for line in lines] == [
            f"kubernetes.alert_labels.{key}" for key in sorted(missing)
        ]
        assert "add namespace: batch to alertmanager.labels" in str(caught.value)
    parse(text % "namespace: batch, dc: x, other: y")
    parse((text % "").replace("push_to: [http://a:9093], ", ""))


def test_no_alert_has_a_label_of_prometheus_itself() -> None:
    with pytest.raises(ConfigError, match="'__name__' is a name of Prometheus itself"):
        parse("jobs: {}\nalertmanager: {labels: {__name__: x}}")
