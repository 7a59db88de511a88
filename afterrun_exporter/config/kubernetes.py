"""Schema of ``kubernetes:`` in afterrun.yml, with every default."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from afterrun_exporter.config.alerting_values import AddedLabel, host_port
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.values import (
    Declared,
    ListOf,
    MappingOf,
    NotEmpty,
    Period,
)
from afterrun_exporter.core.kubernetes import (
    AlertmanagerKind,
    Dashboards,
    Kubernetes,
    Scrape,
    SecretKey,
)
from afterrun_exporter.validation_messages import quote

_PART: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DNS_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DNS_NAME: Final = rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*"

#: The longest `name`: names of objects are longer, and prometheus-operator makes labels
#: and the names of receivers of them.
_LONGEST_NAME: Final = 40

#: Labels that Prometheus adds to each target.
_OF_TARGETS: Final = ("job", "instance")


def _matching(pattern: str, what: str, longest: int) -> AfterValidator:
    expression = re.compile(pattern)

    def check(text: str) -> str:
        if len(text) > longest or not expression.fullmatch(text):
            raise ValueError(f"{quote(text)} is not {what}, at most {longest} long")
        return text

    return AfterValidator(check)


def _undeclared(key: str, info: ValidationInfo) -> str:
    if isinstance(info.context, Declared) and key in info.context.labels:
        raise ValueError(f"label {quote(key)} is set for each job: remove it here")
    if key in _OF_TARGETS:
        raise ValueError(
            f"label {quote(key)} is that of the target, by which alerts are told apart: "
            "remove it here"
        )
    return key


_Namespace = Annotated[
    str,
    _matching(_DNS_LABEL, "a namespace: write lower-case letters, digits and -", 63),
]
_Name = Annotated[
    str,
    _matching(
        _DNS_LABEL,
        "a short name: write lower-case letters, digits and -",
        _LONGEST_NAME,
    ),
]
_ObjectName = Annotated[
    str,
    _matching(
        _DNS_NAME, "a name of an object: write lower-case letters, digits, - and .", 253
    ),
]
_PortName = Annotated[
    str,
    _matching(
        _DNS_LABEL,
        "the name of a port of the Service: write its name, not a number",
        63,
    ),
]
_SecretKeyName = Annotated[
    str,
    _matching(
        r"[-._A-Za-z0-9]+", "a key of a Secret: write letters, digits, -, _ and .", 253
    ),
]
_LabelKey = Annotated[
    str, _matching(rf"(?:{_DNS_NAME}/)?{_PART}", "the key of a label", 253 + 1 + 63)
]
_LabelValue = Annotated[
    str,
    _matching(
        rf"(?:{_PART})?",
        "the value of a label: write letters, digits, -, _ and .",
        63,
    ),
]
_Labels = Annotated[dict[_LabelKey, _LabelValue], MappingOf]
_AlertLabel = Annotated[AddedLabel, AfterValidator(_undeclared)]
_Target = Annotated[str, host_port("afterrun.example.com:10707")]
_UrlPath = Annotated[
    str, _matching(r"/[^\s?#{}]*", "a path: write it like /metrics", 1000)
]


def _some(consequence: str) -> AfterValidator:
    def check(labels: dict[str, str]) -> dict[str, str]:
        if not labels:
            raise ValueError(f"has no labels: {consequence}")
        return labels

    return AfterValidator(check)


class TokenSpec(Spec):
    """``token:``, the Secret with the token that Prometheus sends."""

    secret: _ObjectName
    key: _SecretKeyName


class ScrapeSpec(Spec):
    """``scrape:``, the exporter as Prometheus reaches it."""

    service: Annotated[_Labels, _some("it would select every Service")] = Field(
        default_factory=lambda: dict(Scrape().service)
    )
    service_namespace: Annotated[_Namespace, NotEmpty] = ""
    port: _PortName = Scrape().port
    targets: Annotated[tuple[_Target, ...], ListOf] = ()
    path: _UrlPath = Scrape().path
    scheme: Literal["http", "https"] = "http"
    interval: Annotated[Period | None, NotEmpty] = None
    token: Annotated[TokenSpec | None, NotEmpty] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        of_service = sorted(
            self.model_fields_set & {"service", "service_namespace", "port"}
        )
        if self.targets and of_service:
            raise ValueError(
                f"has targets and {', '.join(of_service)}: set targets for an exporter "
                "without a Service, and the others for one with a Service"
            )
        return self

    def scrape(self) -> Scrape:
        token = self.token
        return Scrape(
            service=tuple(self.service.items()),
            namespace=self.service_namespace,
            port=self.port,
            targets=self.targets,
            path=self.path,
            scheme=self.scheme,
            interval=self.interval,
            token=SecretKey(token.secret, token.key) if token else None,
        )


class KubernetesDashboardsSpec(Spec):
    """``dashboards:``, the ConfigMaps of dashboards."""

    labels: Annotated[_Labels, _some("no sidecar would find the dashboards")] = Field(
        default_factory=lambda: dict(Dashboards().labels)
    )
    annotations: Annotated[dict[_LabelKey, str], MappingOf] = Field(
        default_factory=dict
    )

    def dashboards(self) -> Dashboards:
        return Dashboards(
            labels=tuple(self.labels.items()),
            annotations=tuple(self.annotations.items()),
        )


class KubernetesSpec(Spec):
    """All of ``kubernetes:``."""

    name: _Name = Kubernetes().name
    namespace: Annotated[_Namespace, NotEmpty] = ""
    labels: _Labels = Field(default_factory=dict)
    alert_labels: Annotated[dict[_AlertLabel, _LabelValue], MappingOf] = Field(
        default_factory=dict
    )
    scrape: ScrapeSpec = ScrapeSpec()
    alertmanager: Literal["AlertmanagerConfig", "Secret"] = "AlertmanagerConfig"
    secret: _ObjectName = Kubernetes().secret
    dashboards: KubernetesDashboardsSpec = KubernetesDashboardsSpec()

    def kubernetes(self) -> Kubernetes:
        return Kubernetes(
            name=self.name,
            namespace=self.namespace,
            labels=tuple(self.labels.items()),
            alert_labels=tuple(self.alert_labels.items()),
            scrape=self.scrape.scrape(),
            alertmanager=AlertmanagerKind(self.alertmanager),
            secret=self.secret,
            dashboards=self.dashboards.dashboards(),
        )
