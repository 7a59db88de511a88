"""Schema of ``alertmanager:`` in afterrun.yml, with every default."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from afterrun_exporter.config import alerting_values
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.mute_times import MuteTimeSpec
from afterrun_exporter.config.values import (
    Duration,
    Line,
    ListOf,
    MappingOf,
    NotEmpty,
    Pattern,
    PositiveDuration,
    Severity,
)
from afterrun_exporter.core.routing import (
    DEFAULT_GROUPING,
    DISCARD,
    PUSHED_GROUPING,
    SCRAPE_LABELS,
    Alertmanager,
    Discord,
    Email,
    Grouping,
    Integration,
    Match,
    PagerDuty,
    Receiver,
    Route,
    Slack,
    Smtp,
    Webhook,
)

#: An optional path or other text of one line.
_Optional = Annotated[Line, NotEmpty]
_SecretFile = Annotated[alerting_values.SecretFile, NotEmpty]
_Lines = Annotated[tuple[Line, ...], alerting_values.OneOrMany]


class SmtpSpec(Spec):
    """``smtp:``, the mail server."""

    smarthost: alerting_values.MailServer = Smtp().smarthost
    sender: Annotated[alerting_values.Sender, Field(alias="from")] = Smtp().sender
    require_tls: bool = True
    auth_username: _Optional = ""
    auth_password_file: _SecretFile = ""


class SlackSpec(Spec):
    """``slack:`` of a receiver."""

    channel: Annotated[alerting_values.Channel, NotEmpty] = ""
    url_file: _SecretFile = ""

    @model_validator(mode="after")
    def _has_url(self, info: ValidationInfo) -> Self:
        references = info.context
        if isinstance(references, alerting_values.References) and not (
            self.url_file or references.slack
        ):
            raise ValueError(
                "no URL: set url_file, or alertmanager.slack_url_file for all of them"
            )
        return self


class DiscordSpec(Spec):
    """``discord:`` of a receiver."""

    url_file: alerting_values.SecretFile


class WebhookSpec(Spec):
    """``webhook:`` of a receiver."""

    url: alerting_values.PlainUrl
    authorization_file: _SecretFile = ""
    #: The default of Alertmanager: no limit.
    max_alerts: Annotated[int, Field(ge=0)] = 0


class PagerDutySpec(Spec):
    """``pagerduty:`` of a receiver."""

    routing_key_file: alerting_values.SecretFile


class IntegrationSpec(Spec):
    """One way to reach a receiver."""

    email: Annotated[alerting_values.Recipients, NotEmpty] = ""
    slack: Annotated[SlackSpec | None, MappingOf] = None
    discord: Annotated[DiscordSpec | None, MappingOf] = None
    webhook: Annotated[WebhookSpec | None, MappingOf] = None
    pagerduty: Annotated[PagerDutySpec | None, MappingOf] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            ways = ", ".join(type(self).model_fields)
            raise ValueError(f"write each integration as its own item: one of {ways}")
        return self

    def integration(self, slack_url_file: str) -> Integration:
        if self.slack is not None:
            return Slack(
                channel=self.slack.channel,
                url_file=self.slack.url_file or slack_url_file,
            )
        if self.discord is not None:
            return Discord(**dict(self.discord))
        if self.webhook is not None:
            return Webhook(**dict(self.webhook))
        if self.pagerduty is not None:
            return PagerDuty(**dict(self.pagerduty))
        return Email(self.email)


def _reachable(ways: tuple[IntegrationSpec, ...]) -> tuple[IntegrationSpec, ...]:
    if not ways:
        raise ValueError(
            "has no integrations: add one such as email: oncall@example.com; "
            f"use {DISCARD!r} to notify no one"
        )
    return ways


_Ways = Annotated[tuple[IntegrationSpec, ...], ListOf, AfterValidator(_reachable)]


class RouteMatchSpec(Spec):
    """``match:`` of a route: an alert must match all keys."""

    severity: Annotated[tuple[Severity, ...], alerting_values.OneOrMany] = ()
    labels: Annotated[dict[alerting_values.MatchedLabel, _Lines], MappingOf] = Field(
        default_factory=dict
    )
    alert: Annotated[tuple[alerting_values.Alert, ...], alerting_values.OneOrMany] = ()
    project: _Lines = ()
    tags: _Lines = ()
    job: Annotated[Pattern, NotEmpty] = ""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.model_fields_set - {"labels"} or self.labels):
            raise ValueError("matches nothing: for all alerts use receiver:")
        return self

    def match(self) -> Match:
        return Match(
            severities=self.severity,
            labels=tuple(self.labels.items()),
            conditions=self.alert,
            projects=self.project,
            tags=self.tags,
            job=self.job,
        )


class GroupingSpec(Spec):
    """Grouping of alerts into notifications, and their timing."""

    group_by: Annotated[alerting_values.GroupBy | None, NotEmpty] = None
    group_wait: Annotated[Duration | None, NotEmpty] = None
    group_interval: Annotated[PositiveDuration | None, NotEmpty] = None
    repeat_interval: Annotated[PositiveDuration | None, NotEmpty] = None

    def grouping(self, default: Grouping) -> Grouping:
        fields_set = self.model_fields_set
        keys = GroupingSpec.model_fields
        return Grouping(
            **{
                key: getattr(self if key in fields_set else default, key)
                for key in keys
            }
        )


class RouteSpec(GroupingSpec):
    """One of ``routes:``."""

    match: RouteMatchSpec
    receivers: alerting_values.ReceiverRefs
    mute: alerting_values.MuteTimeRefs = ()
    active: alerting_values.MuteTimeRefs = ()
    continue_: Annotated[bool, Field(alias="continue")] = False

    def route(self) -> Route:
        return Route(
            match=self.match.match(),
            receivers=self.receivers,
            grouping=self.grouping(Grouping()),
            mute=self.mute,
            active=self.active,
            continues=self.continue_,
        )


class AlertmanagerSpec(GroupingSpec):
    """All of ``alertmanager:``."""

    push_to: Annotated[alerting_values.BaseUrls, ListOf] = ()
    external_url: Annotated[alerting_values.ExternalUrl | None, NotEmpty] = None
    labels: Annotated[dict[alerting_values.AddedLabel, Line], MappingOf] = Field(
        default_factory=dict
    )
    resolve_delay: Duration = Alertmanager().resolve_delay
    config_file: _Optional = ""
    reload_url: Annotated[alerting_values.ShownUrl, NotEmpty] = ""
    base: _Optional = ""
    smtp: Annotated[SmtpSpec | None, MappingOf] = None
    slack_url_file: _SecretFile = ""
    receivers: Annotated[dict[alerting_values.ReceiverName, _Ways], MappingOf] = Field(
        default_factory=dict
    )
    receiver: Annotated[alerting_values.ReceiverRef, NotEmpty] = ""
    watchdog: Annotated[alerting_values.ReceiverRef, NotEmpty] = DISCARD
    routes: Annotated[tuple[RouteSpec, ...], ListOf] = ()
    mute_times: Annotated[
        dict[Line, Annotated[tuple[MuteTimeSpec, ...], alerting_values.OneOrMany]],
        MappingOf,
    ] = Field(default_factory=dict)

    def alertmanager(self) -> Alertmanager:
        receivers = tuple(
            Receiver(name, tuple(way.integration(self.slack_url_file) for way in ways))
            for name, ways in self.receivers.items()
        )
        first = receivers[0].name if receivers else DISCARD
        return Alertmanager(
            push_to=self.push_to,
            external_url=self.external_url or "",
            labels=tuple({**dict(SCRAPE_LABELS), **self.labels}.items()),
            resolve_delay=self.resolve_delay,
            config_file=self.config_file,
            reload_url=self.reload_url,
            base=self.base,
            smtp=Smtp(**dict(self.smtp)) if self.smtp else None,
            receivers=receivers,
            receiver=self.receiver or first,
            watchdog=self.watchdog,
            grouping=self.grouping(
                PUSHED_GROUPING if self.push_to else DEFAULT_GROUPING
            ),
            routes=tuple(route.route() for route in self.routes),
            mute_times=tuple(
                (name, tuple(one.interval() for one in intervals))
                for name, intervals in self.mute_times.items()
            ),
        )
