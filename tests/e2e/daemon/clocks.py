"""A daemon whose clock is set, jobs that report to it, and what it must say then."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.daemon.daemon import Daemon, wait_until
from tests.patience import PATIENCE

#: As Debian's libfaketime has it; scripts/system-packages.sh installs it.
LIBRARY: Final = "faketime/libfaketime.so.1"
FOLDERS: Final = ("/usr/lib", "/usr/lib64")

#: Series whose times may lie ahead.
AHEAD: Final = ("_next_run_", "_deadline_", "_run_deadline_")

#: How often a daemon is asked: each time its clock is read, that is a file.
EVERY: Final = 0.1

#: How long before a minute begins a clock is that has been corrected.
RIGHT_BEFORE: Final = 4.0

#: How far ahead what is due next may lie, of jobs that are due once a minute.
SOON: Final = 600.0

INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")

#: An instant on a page.
SHOWN: Final = re.compile(rf'<time datetime="({INSTANT.pattern})"([^>]*)>')

#: Fields of the API that may lie ahead, and those of which nobody knows.
DUE: Final = {"next_slot", "deadline", "summary", "message"}


def library() -> Path:
    """Return the library that sets the clock of a process."""
    for folder in FOLDERS:
        for found in sorted(Path(folder).glob(f"*/{LIBRARY}")):
            return found
        if (found := Path(folder) / LIBRARY).exists():
            return found
    raise AssertionError("libfaketime is missing: run make system-packages")


class Clock:
    """The time of day as a daemon sees it: so many seconds from the real one."""

    def __init__(self, daemon: Daemon) -> None:
        self._file = daemon.config.with_name("clock")
        self.ahead = 0.0
        self.set(0.0)
        daemon.environment |= {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Without this, threads that wait for each other do so without a pause.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def set(self, ahead: float) -> None:
        """Set it so many seconds *ahead* of the real one, or behind, at once."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead:+.3f}", "utf-8")
        new.replace(self._file)
        self.ahead = ahead

    def step(self, seconds: float) -> None:
        """Set it forward, or back."""
        self.set(self.ahead + seconds)

    def correct(self, seconds: float) -> None:
        """Set it forward or back by so many seconds, or up to a minute more.

        Its next minute begins right after that: jobs are due then.
        """
        more = (60 - RIGHT_BEFORE - self.now() - seconds) % 60
        self.step(seconds + (more if seconds > 0 else more - 60))

    def now(self) -> float:
        """Return the time of day that it shows."""
        return time.time() + self.ahead


class Jobs:
    """Jobs that report to a daemon, some of them all the time."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def ok(self, job: str, **more: Any) -> dict[str, Any]:
        """Report a run that ended well, or *more*; return the answer."""
        answer = self._daemon.post(f"/ping/{job}", more)
        assert answer.status == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def start(self, job: str, run_id: str) -> None:
        """Report that a run has started."""
        self.ok(job, status="start", run_id=run_id)

    @contextmanager
    def reporting(self, *jobs: str) -> Iterator[None]:
        """Have *jobs* report all the time, and again where that fails.

        They do so in one request: a busy machine answers that as often as that of one job.
        """
        over = threading.Event()

        def report() -> None:
            runs = 0
            while not over.wait(0.2):
                runs += 1
                batch = [{"job": job, "run_id": f"r{runs}"} for job in jobs]
                with suppress(OSError, HTTPException):
                    self._daemon.post("/ping", batch)

        thread = threading.Thread(target=report)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(PATIENCE)


class Seen:
    """What a daemon says of its jobs."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def conditions(self) -> set[tuple[str, str]]:
        """Return the conditions that hold, and of which jobs."""
        return {
            (job["name"], alert["kind"])
            for job in self._jobs()
            for alert in job["alerts"]
        }

    def alerts(self) -> list[dict[str, Any]]:
        """Return all alerts that there have been."""
        found: list[dict[str, Any]] = self._daemon.get(
            "/api/v1/alerts?limit=1000"
        ).json()["alerts"]
        return found

    def wait_for(self, job: str, condition: str) -> float:
        """Return since when the *condition* holds that *job* is in, once it is."""
        wait_until(
            lambda: (job, condition) in self.conditions(),
            f"{job} is {condition}",
            PATIENCE,
            every=EVERY,
        )
        (alert,) = [
            one
            for one in self.alerts()
            if one["job"] == job and one["kind"] == condition and not one["resolved_at"]
        ]
        return instant(alert["opened_at"])

    def total(self, name: str) -> float:
        """Return the value of a series of the daemon itself."""
        return self._daemon.series()[name, ""]

    def _jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._daemon.get("/api/v1/jobs").json()["jobs"]
        return found


def instant(text: str) -> float:
    """Return the Unix seconds of a time in the API."""
    return datetime.fromisoformat(text).timestamp()


def ahead(daemon: Daemon, clock: Clock, jobs: Iterable[str]) -> list[str]:
    """Return what the daemon says of *jobs* that lies ahead of its *clock*, and must not."""
    found = [*_series_ahead(daemon, clock)]
    paths = ["/api/v1/jobs", "/api/v1/alerts?state=open"]
    for path in [*paths, *(f"/api/v1/jobs/{job}" for job in jobs)]:
        said = json.loads(daemon.get(path).text)
        found += [f"{path} {one}" for one in _fields_ahead(said, clock)]
    return found


def shown_ahead(daemon: Daemon, clock: Clock, jobs: Iterable[str]) -> list[str]:
    """Return what the pages of *jobs* show that lies ahead, and must not."""
    found: list[str] = []
    for path in ["/", *(f"/jobs/{job}" for job in jobs)]:
        text = daemon.get(path).text
        latest = clock.now() + SOON
        found += [
            f"{path} {shown}"
            for shown, more in SHOWN.findall(text)
            # A run keeps the time at which it was recorded, and the page says so.
            if instant(shown) > latest and "ahead" not in more
        ]
    return found


def _series_ahead(daemon: Daemon, clock: Clock) -> Iterator[str]:
    text, now = daemon.get("/metrics").text, clock.now()
    for family in text_string_to_metric_families(text):
        if not family.name.endswith("_timestamp_seconds"):
            continue
        latest = now + (SOON if any(part in family.name for part in AHEAD) else 0.0)
        for sample in family.samples:
            if latest < sample.value < math.inf:
                yield f"{sample.name} {sample.labels} {sample.value - now:+.0f} s"


def _fields_ahead(said: Any, clock: Clock, path: str = "") -> Iterator[str]:
    if isinstance(said, dict):
        for name, value in said.items():
            yield from _fields_ahead(value, clock, f"{path}.{name}")
    elif isinstance(said, list):
        for value in said:
            yield from _fields_ahead(value, clock, path)
    elif isinstance(said, str):
        now = clock.now()
        latest = now + (SOON if path.rpartition(".")[2] in DUE else 0.0)
        for one in INSTANT.findall(said):
            if instant(one) > latest:
                yield f"{path} {instant(one) - now:+.0f} s"
