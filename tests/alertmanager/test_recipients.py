"""Who is notified of an alert, by the same routes that Alertmanager gets."""

from __future__ import annotations

import pytest

from afterrun_exporter import config
from afterrun_exporter.alertmanager.recipients import Recipients
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.routing import JobReceiver, ReceiverType

CONFIG = """
labels: [team]
jobs: {backup: {severity: critical, labels: {team: data}}, sync: {}}
alertmanager:
  receiver: ops
  receivers:
    ops: [{email: ops@example.com}]
    pager: [{webhook: {url: "http://pager.example/"}}]
    data: [{email: data@example.com}]
  routes:
    - {match: {severity: critical}, receivers: [pager], continue: true}
    - {match: {labels: {team: data}, alert: [failing, missed]}, receivers: [data]}
"""
OWN = JobReceiver(
    id=7,
    job="backup",
    type=ReceiverType.SLACK,
    target="https://hooks.slack.com/services/secret",
    on_missed=False,
    on_success=True,
)


@pytest.fixture
def recipients() -> Recipients:
    made = Recipients()
    made.configure(config.parse(CONFIG).alertmanager)
    return made


@pytest.fixture
def jobs() -> dict[str, Job]:
    return dict(config.parse(CONFIG).jobs)


def test_routes_that_continue_add_to_later_ones(
    recipients: Recipients, jobs: dict[str, Job]
) -> None:
    job = jobs["backup"]

    assert recipients.of(job, Condition.FAILING, "critical", []) == ["pager", "data"]
    assert recipients.of(job, Condition.VIOLATED, "critical", []) == ["pager"]
    assert recipients.of(job, Condition.MISSED, "info", []) == ["data"]
    assert recipients.of(job, Condition.SLOW, "info", []) == ["ops"]


def test_receivers_of_a_job_come_first_and_keep_their_secrets(
    recipients: Recipients, jobs: dict[str, Job]
) -> None:
    job, slack = jobs["backup"], "slack https://hooks.slack.com/\N{HORIZONTAL ELLIPSIS}"

    assert recipients.of(job, Condition.SLOW, "info", [OWN]) == [slack, "ops"]
    assert recipients.of(job, Condition.MISSED, "info", [OWN]) == ["data"]
    assert recipients.of(job, Condition.SUCCEEDED, "critical", [OWN]) == [slack]


def test_nobody_is_notified_of_what_only_holds_back(
    recipients: Recipients, jobs: dict[str, Job]
) -> None:
    condition = Condition.UPSTREAM_UNHEALTHY

    assert recipients.of(jobs["sync"], condition, "none", []) == []


def test_without_receivers_nobody_is_notified(jobs: dict[str, Job]) -> None:
    recipients = Recipients()

    assert not recipients.has_receivers
    assert recipients.of(jobs["sync"], Condition.FAILING, "warning", []) == []
