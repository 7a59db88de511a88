"""Recording of parsed reports, with counts and logs of refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from afterrun_exporter.auth import forbidden
from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.auth.refusal_log import DESCRIPTION, REGISTERED, RefusalLog
from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.model import Ping
from afterrun_exporter.core.run_times import end_of
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
from afterrun_exporter.ingest.report_metrics import ReportMetrics
from afterrun_exporter.ingest.similar_names import SimilarNames


@dataclass(frozen=True, slots=True)
class Refused:
    """A report that could not be read."""

    job: str
    error: PingError | ForbiddenError
    #: The failure that is recorded for an invalid report of a known job.
    #: None for an unknown or missing job.
    ping: Ping | None


Received = Ping | Refused


@dataclass(frozen=True, slots=True)
class Unread:
    """A report that could not be read, before the job is looked up."""

    job: str
    fingerprint: bytes
    error: PingError


#: A parsed report, possibly from a thread: see `ReportRecorder.resolve`.
Read = tuple[Ping, ReportMetrics] | Unread


def read_fields(
    job: str, fields: Mapping[str, Any], at: float, fingerprint: bytes, limit: int
) -> Read:
    """Return the report of *job* in *fields*, with *limit* metrics at most."""
    try:
        return reports.ping_of(
            job, fields, at=at, fingerprint=fingerprint, metrics_limit=limit
        )
    except PingError as error:
        return Unread(job, fingerprint, error)


class ReportRecorder:
    """Records parsed reports on behalf of a protocol handler."""

    def __init__(self, service: Service, clock: Clock, dialect: str) -> None:
        self._service = service
        self._clock = clock
        self._dialect = dialect
        self._refusals = RefusalLog()
        self._registrations = RefusalLog(REGISTERED)
        self._near_names = SimilarNames(self._is_configured)

    @property
    def metrics_limit(self) -> int:
        """The maximum number of metrics in one report."""
        return self._service.settings.metrics_per_job

    @property
    def body_limit(self) -> int:
        """The maximum number of bytes in a request."""
        return self._service.job_config.body_bytes

    def resolve(self, read: Read, at: float) -> Received:
        """Return a parsed report, or the refusal of an unreadable one."""
        if isinstance(read, Unread):
            return self.unreadable(read.job, at, read.fingerprint, read.error)
        return self.readable(*read)

    def readable(self, ping: Ping, report_metrics: ReportMetrics) -> Ping:
        """Return *ping* after counting its dropped metrics."""
        self._service.dropped.update(report_metrics.dropped)
        return ping

    def unreadable(
        self, job: str, at: float, fingerprint: bytes, error: PingError
    ) -> Refused:
        """Return the refusal of a report that could not be read."""
        is_known = self._service.job(job) is not None
        # A malformed report of a past run is no failure of the job.
        is_known = is_known and not isinstance(error, HistoryError)
        ping = reports.invalid(job, at, fingerprint, error) if is_known else None
        return Refused(job, error, ping)

    def refuse(self, job: str, reason: str) -> None:
        """Count and log a request that was refused before it was parsed into reports."""
        self._service.pings[self._dialect, "rejected"] += 1
        self._log_refusal(job, reason)

    def refuse_description(self, job: str, reason: str) -> None:
        """Log that a report was accepted but the description of its job was not."""
        self._log_refusal(job, reason, DESCRIPTION)

    async def record(
        self, received: Received, caller: Caller
    ) -> ReportResult | Exception:
        """Record one report; see `record_all`."""
        may = caller.may(Scope.PING, received.job) and not caller.project
        is_known = self._service.job(received.job) is not None
        if may and is_known and isinstance(received, Ping):
            try:
                recorded = await self._service.record(received)
            except StorageError:
                raise
            except Exception as error:  # noqa: BLE001 - it is the result
                return self._finish(received, error)
            self._count(recorded)
            return recorded
        (result,) = await self.record_all([received], caller)
        return result

    async def record_all(
        self, received: Sequence[Received], caller: Caller
    ) -> list[ReportResult | Exception]:
        """Record reports in one transaction; return the result of each.

        The result of an unreadable report is its error, even if a failure was recorded.
        The result for a job that *caller* may not ping is a ForbiddenError, and nothing
        is recorded. Raises StorageError if nothing could be recorded.
        """
        received = [
            self._with_hint(_permitted(one, caller))
            async for one in cooperatively(received)
        ]
        if caller.project:
            await self._adopt(received, caller.project)
        pings = [one.ping if isinstance(one, Refused) else one for one in received]
        recorded = [ping for ping in pings if ping is not None]
        report_results = iter(await self._record_pings(recorded) if recorded else ())
        results: list[ReportResult | Exception] = []
        async for one in cooperatively(received):
            if isinstance(one, Refused) and one.ping is None:
                result: ReportResult | Exception = one.error
            else:
                result = next(report_results)
            results.append(self._finish(one, result))
        return results

    def _is_configured(self, name: str) -> bool:
        job = self._service.job(name)
        return job is not None and job.configured

    def _with_hint(self, one: Received) -> Received:
        """Return *one*, with a warning if it registers a job with a misspelt name."""
        if isinstance(one, Refused) or self._service.job(one.job) is not None:
            return one
        if (hint := self._near_names.hint(one)) is None:
            return one
        self._registrations.log_refusal(
            self._clock.elapsed(),
            source=one.job,
            dialect=self._dialect,
            job=one.job,
            reason=hint,
        )
        return replace(one, warnings=(*one.warnings, hint))

    async def _record_pings(
        self, pings: Sequence[Ping]
    ) -> list[ReportResult | Exception]:
        """Record *pings*, with past runs in the order of their ends."""
        places = [place for place, ping in enumerate(pings) if ping.history]
        order = [*range(len(pings))]
        for place, oldest in zip(
            places, sorted(places, key=lambda one: end_of(pings[one])), strict=True
        ):
            order[place] = oldest
        report_results = await self._service.record_all(
            [pings[place] for place in order]
        )
        by_place = dict(zip(order, report_results, strict=True))
        return [by_place[place] for place in range(len(pings))]

    async def _adopt(self, received: Sequence[Received], project: str) -> None:
        """Assign unknown jobs to the *project* that reports them first."""
        job_admin = JobAdmin(self._service, self._clock)
        jobs = dict.fromkeys(one.job for one in received if isinstance(one, Ping))
        for job in jobs:
            if self._service.job(job) is None:
                # If no job may be registered, the result of the report has the error.
                with suppress(UnknownJobError):
                    await job_admin.describe(job, {"project": project})

    def _finish(
        self, one: Received, result: ReportResult | Exception
    ) -> ReportResult | Exception:
        """Return the result of a report after counting it, and logging a refusal."""
        self._count(result)
        answer = one.error if isinstance(one, Refused) else result
        if isinstance(answer, Exception):
            self._log_refusal(one.job, str(answer))
        return answer

    def _log_refusal(self, job: str, reason: str, event: str = "") -> None:
        at, dialect = self._clock.elapsed(), self._dialect
        self._refusals.log_refusal(
            at, event, source=job, dialect=dialect, job=job, reason=reason
        )

    def _count(self, result: ReportResult | Exception) -> None:
        # A recorded unreadable report is a failure of the job, which is not also
        # counted as rejected.
        if isinstance(result, ReportResult):
            label = "duplicate" if result.transition.duplicate else "accepted"
        else:
            label = "rejected"
        self._service.pings[self._dialect, label] += 1


def check_may_report(caller: Caller, job: str) -> None:
    """Raise ForbiddenError if *caller* may not report runs of *job*.

    Call it before a report has any side effects.
    """
    if not caller.may(Scope.PING, job):
        raise forbidden.cannot_report(caller, job)


def _permitted(one: Received, caller: Caller) -> Received:
    """Return *one*, or a refusal if *caller* may not ping its job."""
    try:
        check_may_report(caller, one.job)
    except ForbiddenError as error:
        return Refused(one.job, error, None)
    return one


def sender(request: web.Request) -> bytes:
    """Return the address of the client, which is part of the fingerprint of a report."""
    return (request.remote or "").encode()
