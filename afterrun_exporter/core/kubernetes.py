"""Settings of the generated Kubernetes objects: the section ``kubernetes:``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class AlertmanagerKind(StrEnum):
    """The kind of the object that configures Alertmanager."""

    CONFIG = "AlertmanagerConfig"
    SECRET = "Secret"  # noqa: S105 (a kind, not a password)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key of a Secret."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """The exporter as Prometheus reaches it."""

    #: Labels of its Service.
    service: tuple[tuple[str, str], ...] = (
        ("app.kubernetes.io/name", "afterrun-exporter"),
    )
    #: The namespace of its Service; "" for that of the objects.
    namespace: str = ""
    #: The name of the port of its Service.
    port: str = "http"
    #: host:port of exporters without a Service; () if there is one.
    targets: tuple[str, ...] = ()
    path: str = "/metrics"
    scheme: str = "http"
    #: Seconds; None for Prometheus's default.
    interval: float | None = None
    #: The Secret with a token of scope scrape; None if the daemon requires none.
    token: SecretKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboards:
    """The ConfigMaps of dashboards, as Grafana's sidecar finds them."""

    labels: tuple[tuple[str, str], ...] = (("grafana_dashboard", "1"),)
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubernetes:
    """The section ``kubernetes:`` of the configuration."""

    #: The name of each object, or its beginning.
    name: str = "afterrun"
    #: The namespace of the objects; "" for the one that they are applied to.
    namespace: str = ""
    #: Labels of the objects of prometheus-operator, which select them.
    labels: tuple[tuple[str, str], ...] = ()
    #: Labels that the rules add to every alert.
    alert_labels: tuple[tuple[str, str], ...] = ()
    scrape: Scrape = field(default_factory=Scrape)
    alertmanager: AlertmanagerKind = AlertmanagerKind.CONFIG
    #: The Secret with the files of secrets that receivers need.
    secret: str = "afterrun-secrets"  # noqa: S105 (its name)
    dashboards: Dashboards = field(default_factory=Dashboards)
