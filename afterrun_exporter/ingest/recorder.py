"""From what a dialect has read to verdicts, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.auth.refusal_log import DESCRIPTION, REGISTERED, RefusalLog
from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.model import Ping
from afterrun_exporter.core.spans import end_of
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.results import ReportResult
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import (
    ForbiddenError,
    HistoryError,
    PingError,
    StorageError,
    UnknownJobError,
)
from afterrun_exporter.ingest import reports
from afterrun_exporter.ingest.readings import Readings
from afterrun_exporter.ingest.similar_names import SimilarNames


@dataclass(frozen=True, slots=True)
class Refused:
    """A report that could not be read."""

    job: str
    error: PingError | ForbiddenError
    #: What is recorded all the same: a job whose report is broken is broken.
    #: None for a job that is not known, or not even named.
    ping: Ping | None


Received = Ping | Refused


@dataclass(frozen=True, slots=True)
class Unread:
    """A report that could not be read, before anybody asks whose it is."""

    job: str
    fingerprint: bytes
    error: PingError


#: What parsers make of a report, beside the event loop if need be: see `ReportRecorder.settled`.
Read = tuple[Ping, Readings] | Unread


def read_fields(
    job: str, fields: Mapping[str, Any], at: float, fingerprint: bytes, limit: int
) -> Read:
    """Return what the *fields* of a report of *job* say, with *limit* metrics at most."""
    try:
        return reports.ping_of(
            job, fields, at=at, fingerprint=fingerprint, metrics_limit=limit
        )
    except PingError as error:
        return Unread(job, fingerprint, error)


class ReportRecorder:
    """Where every dialect hands in what it has read."""

    def __init__(self, service: Service, clock: Clock, dialect: str) -> None:
        self._service = service
        self._clock = clock
        self._dialect = dialect
        self._refusals = RefusalLog()
        self._registrations = RefusalLog(REGISTERED)
        self._near_names = SimilarNames(self._is_configured)

    @property
    def metrics_limit(self) -> int:
        """How many metrics of one report are taken."""
        return self._service.settings.metrics_per_job

    @property
    def body_limit(self) -> int:
        """How many bytes a request may have."""
        return self._service.job_config.body_bytes

    def settled(self, read: Read, at: float) -> Received:
        """Return what is to be done about a report, read or not."""
        if isinstance(read, Unread):
            return self.unreadable(read.job, at, read.fingerprint, read.error)
        return self.readable(*read)

    def readable(self, ping: Ping, readings: Readings) -> Ping:
        """Return *ping*, its left-out metrics counted."""
        self._service.dropped.update(readings.dropped)
        return ping

    def unreadable(
        self, job: str, at: float, fingerprint: bytes, error: PingError
    ) -> Refused:
        """Return what is to be done about a report that could not be read."""
        known = self._service.job(job) is not None
        # A line of an old log that cannot be read says nothing of the job today.
        known = known and not isinstance(error, HistoryError)
        ping = reports.invalid(job, at, fingerprint, error) if known else None
        return Refused(job, error, ping)

    def refuse(self, job: str, reason: str) -> None:
        """Count and tell a request that was refused before it became reports."""
        self._service.pings[self._dialect, "rejected"] += 1
        self._tell(job, reason)

    def refuse_description(self, job: str, reason: str) -> None:
        """Tell that a report was taken, and what it says of its job was not."""
        self._tell(job, reason, DESCRIPTION)

    async def take(
        self, received: Received, caller: Caller
    ) -> ReportResult | Exception:
        """Record one report; see `take_all`."""
        may = caller.may(Scope.PING, received.job) and not caller.project
        known = self._service.job(received.job) is not None
        if may and known and isinstance(received, Ping):
            try:
                verdict = await self._service.record(received)
            except StorageError:
                raise
            except Exception as error:  # noqa: BLE001 - it is the answer
                return self._made(received, error)
            self._count(verdict)
            return verdict
        (result,) = await self.take_all([received], caller)
        return result

    async def take_all(
        self, received: Sequence[Received], caller: Caller
    ) -> list[ReportResult | Exception]:
        """Record reports in one transaction; return what was made of each.

        One that could not be read is answered with its error, recorded or not. One of
        a job that *caller* may not ping is answered with ForbiddenError, and nothing is
        recorded of it. Raises StorageError if nothing could be recorded.
        """
        received = [
            self._hinted(_permitted(one, caller))
            async for one in cooperatively(received)
        ]
        if caller.project:
            await self._adopt(received, caller.project)
        pings = [one.ping if isinstance(one, Refused) else one for one in received]
        recorded = [ping for ping in pings if ping is not None]
        verdicts = iter(await self._record_all(recorded) if recorded else ())
        results: list[ReportResult | Exception] = []
        async for one in cooperatively(received):
            if isinstance(one, Refused) and one.ping is None:
                made: ReportResult | Exception = one.error
            else:
                made = next(verdicts)
            results.append(self._made(one, made))
        return results

    def _is_configured(self, name: str) -> bool:
        job = self._service.job(name)
        return job is not None and job.configured

    def _hinted(self, one: Received) -> Received:
        """Return *one*, the first report of a misspelt job with a warning."""
        if isinstance(one, Refused) or self._service.job(one.job) is not None:
            return one
        if (hint := self._near_names.hint(one)) is None:
            return one
        self._registrations.tell(
            self._clock.elapsed(),
            of=one.job,
            dialect=self._dialect,
            job=one.job,
            reason=hint,
        )
        return replace(one, warnings=(*one.warnings, hint))

    async def _record_all(
        self, pings: Sequence[Ping]
    ) -> list[ReportResult | Exception]:
        """Record *pings*, those of past runs in the order in which they ended."""
        places = [place for place, ping in enumerate(pings) if ping.history]
        order = [*range(len(pings))]
        for place, oldest in zip(
            places, sorted(places, key=lambda one: end_of(pings[one])), strict=True
        ):
            order[place] = oldest
        verdicts = await self._service.record_all([pings[place] for place in order])
        by_place = dict(zip(order, verdicts, strict=True))
        return [by_place[place] for place in range(len(pings))]

    async def _adopt(self, received: Sequence[Received], project: str) -> None:
        """Have jobs that nobody knows belong to the *project* that reports them."""
        job_admin = JobAdmin(self._service, self._clock)
        jobs = dict.fromkeys(one.job for one in received if isinstance(one, Ping))
        for job in jobs:
            if self._service.job(job) is None:
                # Where no job may be registered, the report will be answered with that.
                with suppress(UnknownJobError):
                    await job_admin.describe(job, {"project": project})

    def _made(
        self, one: Received, made: ReportResult | Exception
    ) -> ReportResult | Exception:
        """Return the answer to a report, counted, and told where it is a refusal."""
        self._count(made)
        answer = one.error if isinstance(one, Refused) else made
        if isinstance(answer, Exception):
            self._tell(one.job, str(answer))
        return answer

    def _tell(self, job: str, reason: str, event: str = "") -> None:
        at, dialect = self._clock.elapsed(), self._dialect
        self._refusals.tell(at, event, of=job, dialect=dialect, job=job, reason=reason)

    def _count(self, made: ReportResult | Exception) -> None:
        # An unreadable report that is recorded has an alert of its own, as the
        # failure it is: it does not count as rejected as well.
        if isinstance(made, ReportResult):
            what = "duplicate" if made.transition.duplicate else "accepted"
        else:
            what = "rejected"
        self._service.pings[self._dialect, what] += 1


def check_may_report(caller: Caller, job: str) -> None:
    """Raise ForbiddenError if *caller* may not report runs of *job*.

    To be asked before a report has any effect besides the run that it records.
    """
    if not caller.may(Scope.PING, job):
        raise ForbiddenError(f"{caller.name} may not report runs of job {job!r}")


def _permitted(one: Received, caller: Caller) -> Received:
    """Return *one*, or the refusal that it is where *caller* may not ping its job."""
    try:
        check_may_report(caller, one.job)
    except ForbiddenError as error:
        return Refused(one.job, error, None)
    return one


def sender(request: web.Request) -> bytes:
    """Return the address of the reporting machine, as part of the key of a run."""
    return (request.remote or "").encode()
