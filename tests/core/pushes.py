"""A job that pushes metrics, one push an hour."""

from __future__ import annotations

from typing import Any

from afterrun_exporter.core.model import Job, Run, Settings
from afterrun_exporter.core.outcome_metrics import Push
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.transitions import on_ping, registered
from afterrun_exporter.storage.codec import decode_state, encode_state
from tests.copies import replace
from tests.core.jobs import at
from tests.push_bodies import ping_of, read_text

SETTINGS = Settings()
#: When a pusher is registered. Its pushes follow in steps of an hour.
NOON = at("21 12:00")
HOUR = 3600.0


class Pusher:
    """A job and the results of its pushes."""

    def __init__(self, *rules: str, push: Any = None, **more: Any) -> None:
        self.job = Job(
            name="etl", rules=tuple(map(parse_rule, rules)), push=push, **more
        )
        self.state: JobState = registered(self.job, NOON)
        self.now = NOON
        self.last: Any = None

    def push(self, *lines: str, after: float = HOUR) -> str:
        """Push *lines*, with TIME for the current time; return the result.

        The state is stored and loaded before each push, as by a restart.
        """
        self.now += after
        body = "".join(f"{line}\n" for line in lines).replace("TIME", repr(self.now))
        ping, _ = ping_of(
            "etl",
            {"job": "etl"},
            read_text(body.encode()),
            self.now,
            body.encode(),
            SETTINGS.metrics_per_job,
            self.job,
        )
        return self._take(ping)

    def delete(self) -> str:
        """Delete the group; return the result."""
        self.now += HOUR
        ping, _ = ping_of("etl", {}, read_text(b""), self.now, b"DELETE", 50, self.job)
        return self._take(replace(ping, push=Push(deleted=True)))

    @property
    def run(self) -> Run:
        """The run that the last push ended."""
        run: Run = self.last.run
        return run

    def _take(self, ping: Any) -> str:
        self.state = decode_state(encode_state(self.state), self.state.run_keys)
        again = on_ping(self.job, self.state, ping, SETTINGS)
        self.last = on_ping(self.job, self.state, ping, SETTINGS)
        assert again == self.last
        self.state = self.last.state
        if self.last.duplicate:
            return "repeat"
        if self.last.run is not None:
            return str(self.last.run.outcome)
        return "open" if self.state.open_runs else "nothing"
