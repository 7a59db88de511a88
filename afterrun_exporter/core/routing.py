"""Routing of alerts to receivers: the Alertmanager settings of afterrun.yml."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.patterns import compiled

#: Labels that Prometheus adds to all our alerts by default: the name of the scrape job.
SCRAPE_LABELS: Final = (("job", "afterrun"),)

#: The receiver that always exists, and sends nothing.
DISCARD: Final = "discard"

#: Prefix of the names of receivers that were added over the API.
JOB_RECEIVER: Final = "afterrun-job-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """The mail server; by default the one on this host, which cron uses, too."""

    smarthost: str = "localhost:25"
    sender: str = "AfterRun <afterrun@localhost>"
    require_tls: bool = False
    auth_username: str = ""
    auth_password_file: str = ""


@dataclass(frozen=True, slots=True)
class Email:
    """A mail."""

    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """A message in Slack, by an incoming webhook."""

    #: "" for the default channel of the incoming webhook.
    channel: str = ""
    #: The file with its URL; "" if the base configuration has it.
    url_file: str = ""


@dataclass(frozen=True, slots=True)
class Discord:
    """A message in Discord, by a webhook."""

    #: The file with its URL, which ends with ``/slack``.
    url_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A POST of Alertmanager's JSON."""

    url: str
    #: The file with the bearer token; "" for none.
    authorization_file: str = ""
    #: Maximum of alerts in one message; of further ones it has the number. 0 for all.
    max_alerts: int = 0


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """An incident."""

    routing_key_file: str


Integration = Email | Slack | Discord | Webhook | PagerDuty


@dataclass(frozen=True, slots=True)
class Receiver:
    """A name, and all integrations that it sends to."""

    name: str
    integrations: tuple[Integration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A filter for alerts of a route: all conditions must hold."""

    #: Any of these.
    severities: tuple[str, ...] = ()
    #: For each key, any of its values.
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: Any of these.
    conditions: tuple[Condition, ...] = ()
    #: Any of these.
    projects: tuple[str, ...] = ()
    #: All of these.
    tags: tuple[str, ...] = ()
    #: A regular expression, searched in the job's name; "" for any job or none.
    job: str = ""

    @property
    def by_configuration(self) -> bool:
        """True if it depends on properties that are in afterrun.yml, not in alert labels."""
        return bool(self.projects or self.tags)

    def matches(self, job: Job) -> bool:
        """Return True if it matches alerts of *job*."""
        return (
            (not self.projects or job.project in self.projects)
            and set(self.tags) <= set(job.tags)
            and compiled(self.job).search(job.name)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Grouping and timing of messages; None inherits from the parent route."""

    group_by: tuple[str, ...] | None = None
    group_wait: float | None = None
    group_interval: float | None = None
    repeat_interval: float | None = None


#: Prometheus dates an alert at the start of the evaluation that finds it, and
#: Alertmanager counts from that: `group_wait` must be longer than the evaluation of all
#: rule groups plus the interval between two of them.
DEFAULT_GROUPING: Final = Grouping(
    group_wait=30.0, group_interval=300.0, repeat_interval=4 * 3600.0
)

#: The same if the daemon itself posts alerts: they arrive at once, and the time from a
#: report to a message must be less than five seconds.
PUSHED_GROUPING: Final = replace(DEFAULT_GROUPING, group_wait=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The receivers of the alerts that match."""

    match: Match
    receivers: tuple[str, ...]
    grouping: Grouping = Grouping()
    #: Names of time intervals that mute it, and of those in which it is active.
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    #: True if later routes also receive its alerts.
    continues: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeInterval:
    """A recurring time: all conditions must hold. Ranges are ``first:last``."""

    #: Start and end, as HH:MM.
    times: tuple[tuple[str, str], ...] = ()
    weekdays: tuple[str, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    #: A time zone; "" is UTC.
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alertmanager:
    """The section ``alertmanager:`` of the configuration."""

    #: Base URLs of the Alertmanagers to which the daemon posts alerts.
    push_to: tuple[str, ...] = ()
    #: The URL under which people reach Alertmanager; "" if it is unknown.
    external_url: str = ""
    #: Labels that Prometheus adds to our alerts: the scrape job, external labels.
    labels: tuple[tuple[str, str], ...] = SCRAPE_LABELS
    #: Seconds from the end of a condition's visibility until its end is posted: longer
    #: than Prometheus may need to notice it. A scrape and an evaluation take a minute
    #: each by default, and either may be slow.
    resolve_delay: float = 150.0
    #: The alertmanager.yml that the daemon keeps up to date; "" for none.
    config_file: str = ""
    #: The URL that makes Alertmanager reload it; "" for none.
    reload_url: str = ""
    #: An alertmanager.yml to merge ours into; "" for none.
    base: str = ""
    #: None if not configured.
    smtp: Smtp | None = None
    receivers: tuple[Receiver, ...] = ()
    #: The receiver of alerts that match no route.
    receiver: str = DISCARD
    #: The receiver of the alert that always fires.
    watchdog: str = DISCARD
    grouping: Grouping = field(default=DEFAULT_GROUPING)
    routes: tuple[Route, ...] = ()
    mute_times: tuple[tuple[str, tuple[TimeInterval, ...]], ...] = ()


class ReceiverType(StrEnum):
    """The type of a receiver that was added over the API."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    SLACK = "slack"
    DISCORD = "discord"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReceiver:
    """A receiver for one job, added over the API."""

    #: 0 before it is stored.
    id: int = 0
    job: str
    type: ReceiverType
    #: A URL or a mail address.
    target: str
    on_failure: bool = True
    on_timeout: bool = True
    on_violation: bool = True
    on_missed: bool = True
    on_success: bool = False
    created_at: float = 0.0

    @property
    def name(self) -> str:
        """Its name in Alertmanager."""
        return f"{JOB_RECEIVER}{self.job}-{self.id}"

    @property
    def success_name(self) -> str:
        """Its name in Alertmanager for ok runs, whose end is not sent."""
        return f"{self.name}-success"

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions it is notified of; tests are always sent."""
        flags = {
            Condition.FAILING: self.on_failure,
            Condition.SUCCESS_RATIO_LOW: self.on_failure,
            Condition.OVERRUNNING: self.on_timeout,
            Condition.VIOLATED: self.on_violation,
            Condition.SLOW: self.on_violation,
            Condition.MISSED: self.on_missed,
            Condition.TEST: True,
        }
        return tuple(condition for condition, flag in flags.items() if flag)

    @property
    def timeouts_alone(self) -> bool:
        """True if it is notified of a failing job only if a run timed out."""
        return self.on_timeout and not self.on_failure
