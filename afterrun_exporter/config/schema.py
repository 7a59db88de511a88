"""Schema of afterrun.yml, with every default.

`loading` converts it to jobs of the core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from afterrun_exporter.config.alerting_values import ExternalUrl
from afterrun_exporter.config.auth import AuthSpec
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.conditions import (
    AlertsSpec,
    ConcurrencySpec,
    Dependencies,
)
from afterrun_exporter.config.exposition import ExpositionSpec
from afterrun_exporter.config.kubernetes import KubernetesSpec
from afterrun_exporter.config.pushes import PushSpec
from afterrun_exporter.config.schedules import CronTexts, Exclude, OnCalendarTexts
from afterrun_exporter.config.values import (
    LONGEST_RULE,
    Count,
    DeclaredKey,
    DistinctKeys,
    Duration,
    LabelKey,
    Line,
    ListOf,
    MappingOf,
    NotEmpty,
    Period,
    PositiveDuration,
    RuleText,
    Severity,
    Size,
    Text,
    Url,
    Zone,
    distinct,
)
from afterrun_exporter.core.model import UUID
from afterrun_exporter.core.projects import KEY, Project
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.secrets import DIGEST, digest
from afterrun_exporter.core.units import parse_bytes, parse_duration
from afterrun_exporter.validation_messages import quote


def _ping_uuid(text: str) -> str:
    if not UUID.fullmatch(text):
        raise ValueError(
            f"{quote(text)} is not a UUID; write it in small letters, like "
            "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"
        )
    return text


def _project_key(text: str) -> str:
    # A key is not repeated in a message, because it may be in use.
    if DIGEST.fullmatch(text):
        return text
    if not KEY.fullmatch(text):
        raise ValueError(
            "not a key: 8 to 128 letters, digits, - or _, or the sha256: digest of one"
        )
    return digest(text)


PingUuid = Annotated[str, AfterValidator(_ping_uuid)]
#: Kept as a digest, however it is written.
ProjectKey = Annotated[str, AfterValidator(_project_key)]


class RuleSpec(Spec):
    """One of ``rules:``; a plain string is its ``expr``."""

    expr: RuleText
    name: Annotated[Line | None, NotEmpty] = None
    severity: Annotated[Severity | None, NotEmpty] = None
    on_missing: Literal["violate", "ignore"] = "violate"

    @model_validator(mode="before")
    @classmethod
    def _text_is_expr(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping) else {"expr": value}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # Each keyword applies to only one of the types.
        types = {"type": ["string", "object"], "maxLength": LONGEST_RULE}
        return {**handler(core), **types}

    @property
    def full_name(self) -> str:
        """Its name, by default its text."""
        return self.name or self.expr.name

    def rule(self) -> Rule:
        if len(self.model_fields_set) == 1:
            return self.expr
        return replace(
            self.expr,
            name=self.full_name,
            severity=self.severity,
            ignore_missing=self.on_missing == "ignore",
        )


#: Rules with unique names.
Rules = Annotated[
    tuple[RuleSpec, ...], ListOf, distinct("rule", attrgetter("full_name"))
]


#: The maximum number of attempts of a run.
Attempts = Annotated[Count, Field(le=1000)]


def _alerts(value: float | None, info: ValidationInfo) -> float | None:
    if info.data.get("on_downtime") == "wait":
        raise ValueError(
            "has no effect with on_downtime: wait, which opens no alert; remove one "
            "of them"
        )
    return value


OnDowntime = Annotated[Literal["wait", "alert"] | None, NotEmpty]
#: Declared after `on_downtime`, because its validator reads that.
AfterDowntime = Annotated[Duration | None, NotEmpty, AfterValidator(_alerts)]


class JobSpec(Spec):
    """One of ``jobs:``. None means the value of ``defaults:``."""

    display_name: Text = ""
    description: Text = ""
    schedule: Annotated[CronTexts | None, NotEmpty] = None
    oncalendar: Annotated[OnCalendarTexts | None, NotEmpty] = None
    every: Annotated[Period | None, NotEmpty] = None
    timezone: Annotated[Zone | None, NotEmpty] = None
    exclude: Annotated[Exclude | None, NotEmpty] = None
    grace: Annotated[PositiveDuration | None, NotEmpty] = None
    early: Annotated[Duration | None, NotEmpty] = None
    max_runtime: Annotated[PositiveDuration | None, NotEmpty] = None
    max_attempts: Annotated[Attempts | None, NotEmpty] = None
    heartbeat: Annotated[PositiveDuration | None, NotEmpty] = None
    on_downtime: OnDowntime = None
    after_downtime: AfterDowntime = None
    severity: Annotated[Severity | None, NotEmpty] = None
    labels: Annotated[dict[DeclaredKey, Text], MappingOf] = Field(default_factory=dict)
    project: Text = ""
    tags: Annotated[tuple[Line, ...], ListOf] = ()
    runbook_url: Annotated[Url | None, NotEmpty] = None
    enabled: bool = True
    rules: Rules = ()
    alerts: AlertsSpec = AlertsSpec()
    depends_on: Annotated[Dependencies, ListOf] = ()
    concurrency: Annotated[ConcurrencySpec | None, NotEmpty] = None
    alerting: Literal["generic", "dedicated"] = "generic"
    ping_uuid: Annotated[PingUuid | None, NotEmpty] = None
    export_as: Literal["nothing", "original"] = "nothing"
    push: Annotated[PushSpec | None, NotEmpty] = None


class DefaultsSpec(Spec):
    """``defaults:`` for keys that a job does not set, and for jobs not in the file."""

    grace: PositiveDuration = parse_duration("5m")
    early: Duration = parse_duration("1m")
    severity: Severity = "warning"
    timezone: Zone = "UTC"
    exclude: Annotated[Exclude, NotEmpty] = ()
    max_runtime: Annotated[PositiveDuration | None, NotEmpty] = None
    max_attempts: Annotated[Attempts | None, NotEmpty] = None
    heartbeat: Annotated[PositiveDuration | None, NotEmpty] = None
    on_downtime: OnDowntime = None
    after_downtime: AfterDowntime = None


class LimitsSpec(Spec):
    """``limits:`` on data from jobs."""

    jobs: Count = 100_000
    metrics_per_job: Count = 50
    body_bytes: Size = parse_bytes("1MiB")
    pushed_bytes: Size = parse_bytes("16MiB")


class RetentionSpec(Spec):
    """``retention:`` of finished runs, and of what reports are made of."""

    runs: PositiveDuration = parse_duration("30d")
    runs_per_job: Count = 1000
    reports: PositiveDuration = parse_duration("90d")


class ProjectSpec(Spec):
    """One of ``projects:``: the keys that its jobs report with."""

    ping_key: Annotated[ProjectKey | None, NotEmpty] = None
    api_key: Annotated[ProjectKey | None, NotEmpty] = None

    @model_validator(mode="after")
    def _has_a_key(self) -> ProjectSpec:
        if not self.model_fields_set:
            raise ValueError("a project needs a ping_key, an api_key or both")
        return self

    def project(self, name: str) -> Project:
        return Project(
            name=name, ping_key=self.ping_key or "", api_key=self.api_key or ""
        )


def _distinct_projects(projects: dict[str, ProjectSpec]) -> dict[str, ProjectSpec]:
    for what in ("ping_key", "api_key"):
        keys = [key for one in projects.values() if (key := getattr(one, what))]
        if len(keys) > len(set(keys)):
            raise ValueError(f"two projects have the same {what}: give each its own")
    return projects


class FileSpec(Spec):
    """The whole of afterrun.yml."""

    external_url: Annotated[ExternalUrl | None, NotEmpty] = None
    dedup_window: Duration = parse_duration("10s")
    min_visible: Duration = parse_duration("1m")
    unknown_jobs: Literal["accept", "reject"] = "accept"
    limits: LimitsSpec = LimitsSpec()
    retention: RetentionSpec = RetentionSpec()
    settle: Duration = parse_duration("2m")
    labels: Annotated[tuple[LabelKey, ...], ListOf, DistinctKeys] = ()
    defaults: DefaultsSpec = DefaultsSpec()
    projects: Annotated[
        dict[Line, ProjectSpec], MappingOf, AfterValidator(_distinct_projects)
    ] = Field(default_factory=dict)
    #: Each is a JobSpec, validated one by one, because there may be 100,000.
    jobs: Annotated[dict[str, Any], MappingOf] = Field(default_factory=dict)
    #: Each is a PolicySpec.
    policies: Annotated[tuple[Any, ...], ListOf] = ()
    #: An AlertmanagerSpec, which refers to declarations in other sections.
    alertmanager: Annotated[dict[str, Any], MappingOf] = Field(default_factory=dict)
    kubernetes: Annotated[KubernetesSpec | None, MappingOf] = None
    exposition: ExpositionSpec = ExpositionSpec()
    auth: Annotated[AuthSpec | None, NotEmpty] = None
