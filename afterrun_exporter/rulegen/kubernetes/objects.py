"""The objects, and the files that they are in.

They are deterministic, and each file has one name whatever its objects are, so a changed
setting leaves no outdated file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from afterrun_exporter.core.kubernetes import AlertmanagerKind, Kubernetes
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import Alertmanager
from afterrun_exporter.errors import GenerateError
from afterrun_exporter.rulegen import alertmanager as alertmanagers
from afterrun_exporter.rulegen import render, routes, yaml_writer
from afterrun_exporter.rulegen.kubernetes import alertmanager_config, secrets

#: An object of Kubernetes.
Object = dict[str, Any]

DIRECTORY: Final = Path("kubernetes")
ALERTMANAGER: Final = DIRECTORY / "alertmanager.yaml"
DASHBOARDS: Final = DIRECTORY / "dashboards.yaml"

#: The most bytes of rules in one PrometheusRule. prometheus-operator copies each to a
#: ConfigMap, of which it fills at most half a mebibyte.
MOST_BYTES: Final = 400_000

#: The folder of Alertmanager in which prometheus-operator puts the keys of configSecret.
_CONFIG_FOLDER: Final = "/etc/alertmanager/config"

_MONITORING: Final = "monitoring.coreos.com"


def files(
    settings: Kubernetes,
    rules: Mapping[str, Any],
    jobs: Mapping[str, Job],
    label_keys: Sequence[str],
    alertmanager: Alertmanager,
    base: Mapping[str, Any] | None = None,
    dashboards: Mapping[str, str] | None = None,
) -> render.Files:
    """Return all files of Kubernetes objects.

    *rules* is the content of the rule file, *base* that of ``alertmanager.base``, and
    *dashboards* are JSON by file name; without them there is no file of dashboards.
    Raises GenerateError with everything that cannot be expressed.
    """
    result: dict[Path, str] = {
        DIRECTORY / "rules.yaml": _text(prometheus_rules(settings, rules)),
        DIRECTORY / "scrape.yaml": _text([scrape(settings, dict(alertmanager.labels))]),
    }
    if settings.alertmanager is AlertmanagerKind.SECRET:
        secret = config_secret(settings, jobs, label_keys, alertmanager, base)
        notes = list(_mounted(settings, alertmanager))
        result[ALERTMANAGER] = _text([secret], notes)
    else:
        spec = alertmanager_config.spec(jobs, label_keys, alertmanager, settings.secret)
        config: Object = {
            "apiVersion": f"{_MONITORING}/v1alpha1",
            "kind": "AlertmanagerConfig",
            "metadata": _metadata(settings, settings.name),
            "spec": spec,
        }
        notes = [
            *alertmanager_config.limits(alertmanager, settings),
            secrets.instruction(settings, alertmanager),
        ]
        result[ALERTMANAGER] = _text([config], notes)
    if dashboards is not None:
        result[DASHBOARDS] = _text(config_maps(settings, dashboards))
    return result


def prometheus_rules(
    settings: Kubernetes, rules: Mapping[str, Any]
) -> Iterator[Object]:
    """Yield the PrometheusRules with the groups of *rules*, in order."""
    labelled = [
        _labelled(group, dict(settings.alert_labels)) for group in rules["groups"]
    ]
    for number, groups in enumerate(_portions(labelled), start=1):
        name = settings.name if number == 1 else f"{settings.name}-{number}"
        yield {
            "apiVersion": f"{_MONITORING}/v1",
            "kind": "PrometheusRule",
            "metadata": _metadata(settings, name),
            "spec": {"groups": groups},
        }


def scrape(settings: Kubernetes, alert_labels: Mapping[str, str]) -> Object:
    """Return the ServiceMonitor, or the ScrapeConfig if there are targets.

    *alert_labels* are those that Prometheus must add to alerts.
    """
    how = settings.scrape
    endpoint: Object = {"scheme": how.scheme}
    if how.interval is not None:
        key = "scrapeInterval" if how.targets else "interval"
        endpoint[key] = routes.duration(how.interval)
    if how.token is not None:
        endpoint["authorization"] = {
            "type": "Bearer",
            "credentials": {"name": how.token.name, "key": how.token.key},
        }
    endpoint["relabelings"] = list(_relabelings(alert_labels["job"]))
    if how.targets:
        endpoint["scheme"] = how.scheme.upper()
        return {
            "apiVersion": f"{_MONITORING}/v1alpha1",
            "kind": "ScrapeConfig",
            "metadata": _metadata(settings, settings.name),
            "spec": {
                "staticConfigs": [{"targets": list(how.targets)}],
                "metricsPath": how.path,
                **endpoint,
            },
        }
    spec: Object = {
        "selector": {"matchLabels": dict(how.service)},
        "endpoints": [{"port": how.port, "path": how.path, **endpoint}],
    }
    if how.namespace:
        spec["namespaceSelector"] = {"matchNames": [how.namespace]}
    return {
        "apiVersion": f"{_MONITORING}/v1",
        "kind": "ServiceMonitor",
        "metadata": _metadata(settings, settings.name),
        "spec": spec,
    }


def config_secret(
    settings: Kubernetes,
    jobs: Mapping[str, Job],
    label_keys: Sequence[str],
    alertmanager: Alertmanager,
    base: Mapping[str, Any] | None = None,
) -> Object:
    """Return the Secret for ``configSecret`` of an Alertmanager object."""
    template = alertmanagers.TEMPLATE.name
    config = alertmanagers.config_text(
        jobs,
        label_keys,
        secrets.mounted(alertmanager, settings.secret),
        base=base,
        templates=f"{_CONFIG_FOLDER}/{template}",
    )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(settings, f"{settings.name}-alertmanager"),
        "stringData": {
            "alertmanager.yaml": config,
            template: alertmanagers.template_text(alertmanager),
        },
    }


def config_maps(
    settings: Kubernetes, dashboards: Mapping[str, str]
) -> Iterator[Object]:
    """Yield a ConfigMap for each dashboard."""
    how = settings.dashboards
    for file, text in sorted(dashboards.items()):
        metadata = _metadata(settings, f"{settings.name}-{Path(file).stem}-dashboard")
        metadata["labels"] = {**metadata.get("labels", {}), **dict(how.labels)}
        if how.annotations:
            metadata["annotations"] = dict(how.annotations)
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {file: text},
        }


def _labelled(group: Mapping[str, Any], labels: Mapping[str, str]) -> Object:
    """Return *group* with *labels* on each of its alerts."""
    if not labels:
        return dict(group)
    rules = [
        {**rule, "labels": {**rule.get("labels", {}), **labels}}
        if "alert" in rule
        else rule
        for rule in group["rules"]
    ]
    return {**group, "rules": rules}


def _portions(groups: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield *groups* in portions that fit into one PrometheusRule each."""
    portion: list[Any] = []
    size = 0
    for group in groups:
        length = len(yaml_writer.dump(group).encode())
        if length > MOST_BYTES:
            raise GenerateError(
                f"the rules of group {group['name']!r} have {length} bytes, and one "
                f"PrometheusRule holds {MOST_BYTES}: set alerting: dedicated for fewer "
                "jobs"
            )
        if portion and size + length > MOST_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(group)
        size += length
    yield portion


def _relabelings(job: str) -> Iterator[Object]:
    """Yield the rules for the labels of targets.

    prometheus-operator would name the scrape job after the Service, which rules and
    inhibitions could not know, and add labels that alerts of the daemon do not have.
    """
    yield {"action": "replace", "targetLabel": "job", "replacement": job}
    yield {"action": "labeldrop", "regex": "container|endpoint|service"}


def _metadata(settings: Kubernetes, name: str) -> Object:
    metadata: Object = {"name": name}
    if settings.namespace:
        metadata["namespace"] = settings.namespace
    if settings.labels:
        metadata["labels"] = dict(settings.labels)
    return metadata


def _mounted(settings: Kubernetes, alertmanager: Alertmanager) -> Iterator[str]:
    """Yield the settings of the Alertmanager object that use the Secret."""
    yield f"The Alertmanager object needs configSecret: {settings.name}-alertmanager"
    if instruction := secrets.instruction(settings, alertmanager):
        yield f"and secrets: [{settings.secret}]"
        yield instruction


def _text(
    objects: Iterator[Object] | Sequence[Object], notes: Sequence[str] = ()
) -> str:
    note = "".join(f"# {line}\n" for text in notes for line in text.splitlines())
    documents = "---\n".join(yaml_writer.dump(one) for one in objects)
    return f"{render.HEADER}{note}{documents}"
