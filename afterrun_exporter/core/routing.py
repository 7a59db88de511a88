"""Who is told of an alert: what afterrun.yml says of Alertmanager, as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.patterns import compiled

#: What Prometheus adds to every alert of ours unless it is told otherwise: the
#: name of the scrape job.
SCRAPE_LABELS: Final = (("job", "afterrun"),)

#: The receiver that is always there, and tells nobody.
DISCARD: Final = "discard"

#: What the names of receivers begin with that were added over the API.
JOB_RECEIVER: Final = "afterrun-job-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """The server that takes mail; by default the one on this host, as cron's."""

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

    #: "" for the one that belongs to the incoming webhook.
    channel: str = ""
    #: Where its URL stands; "" when the base configuration knows one.
    url_file: str = ""


@dataclass(frozen=True, slots=True)
class Discord:
    """A message in Discord, by a webhook."""

    #: Where its URL stands, with ``/slack`` at its end.
    url_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A POST of Alertmanager's JSON."""

    url: str
    #: Where the bearer token stands; "" for none.
    authorization_file: str = ""
    #: Alerts in one message: of more it has the number. 0 for all.
    max_alerts: int = 0


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """An incident."""

    routing_key_file: str


Integration = Email | Slack | Discord | Webhook | PagerDuty


@dataclass(frozen=True, slots=True)
class Receiver:
    """A name for somebody, and all the ways by which they are told."""

    name: str
    integrations: tuple[Integration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which alerts a route takes: those for which all that is given holds."""

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
        """Whether it asks for what alerts do not carry and only afterrun.yml says."""
        return bool(self.projects or self.tags)

    def takes(self, job: Job) -> bool:
        """Return whether *job* is one whose alerts it is about."""
        return (
            (not self.projects or job.project in self.projects)
            and set(self.tags) <= set(job.tags)
            and compiled(self.job).search(job.name)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """What goes into one message, and when; None is what stands further up."""

    group_by: tuple[str, ...] | None = None
    group_wait: float | None = None
    group_interval: float | None = None
    repeat_interval: float | None = None


#: Prometheus dates an alert by the beginning of the evaluation that finds it, and
#: Alertmanager counts from that date: `group_wait` must be longer than the evaluation
#: of all rule groups and the interval between two of them.
DEFAULT_GROUPING: Final = Grouping(
    group_wait=30.0, group_interval=300.0, repeat_interval=4 * 3600.0
)

#: The same where the daemon posts alerts itself: they arrive at once, and the whole
#: way from a report to a message must take less than five seconds.
PUSHED_GROUPING: Final = replace(DEFAULT_GROUPING, group_wait=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who is told of the alerts that it takes."""

    match: Match
    receivers: tuple[str, ...]
    grouping: Grouping = Grouping()
    #: Names of times at which they are not told, and of those at which they are.
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    #: Whether the routes below it get to see what it takes.
    continues: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeInterval:
    """A recurring time: all that is given holds. Ranges are ``first:last``."""

    #: From and until, as HH:MM.
    times: tuple[tuple[str, str], ...] = ()
    weekdays: tuple[str, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    #: A time zone; "" is UTC.
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alertmanager:
    """``alertmanager:`` of the configuration."""

    #: Base URLs of the Alertmanagers that the daemon itself posts alerts to.
    push_to: tuple[str, ...] = ()
    #: What Prometheus adds to our alerts: the scrape job, external labels.
    labels: tuple[tuple[str, str], ...] = SCRAPE_LABELS
    #: How long after a condition is no longer shown its end is posted: longer than
    #: Prometheus may take to see it. A scrape and an evaluation are a minute each
    #: where nothing else is configured, and either may be slow.
    resolve_delay: float = 150.0
    #: The alertmanager.yml that the daemon keeps up to date; "" for none.
    config_file: str = ""
    #: What makes Alertmanager read it again; "" for nothing.
    reload_url: str = ""
    #: An alertmanager.yml that ours is merged into; "" for none.
    base: str = ""
    #: None when nothing is said of it.
    smtp: Smtp | None = None
    receivers: tuple[Receiver, ...] = ()
    #: Who is told of what no route takes.
    receiver: str = DISCARD
    #: Who gets the alert that always fires.
    watchdog: str = DISCARD
    grouping: Grouping = field(default=DEFAULT_GROUPING)
    routes: tuple[Route, ...] = ()
    mute_times: tuple[tuple[str, tuple[TimeInterval, ...]], ...] = ()


class ReceiverType(StrEnum):
    """How a receiver that was added over the API is reached."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    SLACK = "slack"
    DISCORD = "discord"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReceiver:
    """Somebody who is told of one job, as added over the API."""

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
        """What Alertmanager calls it."""
        return f"{JOB_RECEIVER}{self.job}-{self.id}"

    @property
    def success_name(self) -> str:
        """What Alertmanager calls it where it is told of ok runs, and not of their end."""
        return f"{self.name}-success"

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What it is told of; a test always arrives."""
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
        """Whether it is told of a failing job only where a run timed out."""
        return self.on_timeout and not self.on_failure
