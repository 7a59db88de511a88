"""Test alerts, with which a client checks the way to receivers."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from afterrun_exporter.core.alerts import TEST
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.transitions import on_clock
from afterrun_exporter.core.upstream import Required


def on_test(
    job: Job,
    state: JobState,
    now: float,
    seconds: float,
    severity: str,
    settings: Settings,
    required: Sequence[Required] = (),
) -> Transition:
    """Open a test alert for so many *seconds*; *severity* "" is the job's.

    An open test alert of this severity is extended; one of another severity ends.
    """
    until, transition = now + seconds, on_clock(job, state, now, settings, required)
    state = transition.state
    if any(alert.key == TEST for alert in state.alerts):
        if (severity or job.severity) == (state.test_severity or job.severity):
            until = max(until, state.test_until)
        else:
            state = replace(state, test_until=0.0)
            without_test = on_clock(job, state, now, settings, required)
            state, transition = without_test.state, without_test.after(transition)
    state = replace(state, test_until=until, test_asked_at=now, test_severity=severity)
    return on_clock(job, state, now, settings, required).after(transition)
