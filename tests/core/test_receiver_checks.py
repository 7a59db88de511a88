"""Alerts that somebody asks for, to see that they arrive."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.receiver_checks import on_test
from afterrun_exporter.core.state import AlertOpened, AlertResolved
from afterrun_exporter.core.transitions import on_retired

from .jobs import BACKUP, SETTINGS, Night, at, told


def asked(night: Night, when: str, seconds: float, severity: str = "") -> Night:
    """Ask for a test alert."""
    made = on_test(BACKUP, night.state, at(when), seconds, severity, SETTINGS)
    night.state = made.state
    night.last = made
    return night


@pytest.mark.parametrize(("seconds", "until"), [(120, "04:00"), (10, "03:00")])
def test_another_one_makes_it_last_longer_and_never_shorter(
    seconds: float, until: str
) -> None:
    night = asked(Night(), "22 01:00", 180)

    asked(night, "22 01:02", seconds, BACKUP.severity)

    assert night.last.alerts == ()
    assert told(night.state.test_until) == f"22 01:{until}"
    assert night.clock("22 01:02:59").open == ["test"]
    assert night.clock(f"22 01:{until}").open == []


def test_another_severity_is_another_alert() -> None:
    """Whoever asks for critical wants to know whether critical arrives."""
    night = asked(Night(), "22 01:00", 300, "info")

    asked(night, "22 01:01", 60, "critical")

    over, opened = night.last.alerts
    assert isinstance(over, AlertResolved)
    assert isinstance(opened, AlertOpened)
    assert (opened.severity, told(opened.alert.opened_at)) == (
        "critical",
        "22 01:01:00",
    )
    assert night.state.test_severity == "critical"
    assert night.open == ["test"]
    assert night.clock("22 01:02").open == []


def test_its_words_hold_as_long_as_it_does() -> None:
    """They are written once: an end that may be put off is not among them."""
    (opened,) = asked(Night(), "22 01:00", 60).last.alerts

    assert opened.summary == "a test alert was requested"


def test_a_job_that_returns_has_none() -> None:
    night = asked(Night(), "22 01:00", 3600, "critical")
    night.state = on_retired(night.state, at("22 01:10")).state

    assert night.clock("22 01:20").open == []
    assert night.state.test_severity == ""
