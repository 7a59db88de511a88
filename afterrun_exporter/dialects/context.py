"""Services that the dialects share, and helpers for recording their reports."""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Iterator, Sequence
from hashlib import sha256
from unicodedata import combining, normalize

from aiohttp import hdrs, web

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.auth.route_prefix import prefix_of
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.model import JOB_NAME, Job
from afterrun_exporter.core.projects import Project
from afterrun_exporter.dialects.healthchecks.uuid_index import UuidIndex
from afterrun_exporter.engine.job_admin import Description, JobAdmin
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.results import ReportResult
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import (
    ConfiguredJobError,
    ForbiddenError,
    PingError,
    RequestError,
    UnknownJobError,
)
from afterrun_exporter.ingest import batches
from afterrun_exporter.ingest.bodies import read_ends
from afterrun_exporter.ingest.json_text import decode
from afterrun_exporter.ingest.recorder import Received, ReportRecorder
from afterrun_exporter.ingest.reports import check_name


class DialectContext:
    """The clock, the service and the indexes that every dialect needs."""

    def __init__(
        self, service: Service, clock: Clock, pushed: PushedMetrics, url: str = ""
    ) -> None:
        self.service = service
        self.clock = clock
        #: Metrics that are exposed under their original names.
        self.pushed = pushed
        #: Changes of jobs other than reports: descriptions, pauses, retirement.
        self.job_admin = JobAdmin(service, clock)
        self.uuid_index = UuidIndex(service)
        #: Held while a free job name is searched for and registered.
        self.creating = Lock()
        self._url = url.rstrip("/")

    @property
    def body_limit(self) -> int:
        """The maximum number of body bytes that are read."""
        return self.service.job_config.body_bytes

    def recorder(self, dialect: str) -> ReportRecorder:
        """Return a recorder for the pings of *dialect*, its label value in the metrics."""
        return ReportRecorder(self.service, self.clock, dialect)

    def is_known(self, job: str) -> bool:
        """Return True if a job of this name is monitored."""
        return self.service.job(job) is not None

    def job_called(self, text: str, project: Project | None = None) -> str:
        """Return the name of the job that another system calls *text*.

        Look for a job with this display name, of *project* if there is one; then for the
        name that `job_name` derives, then for this slug. Raises PingError for a name that
        no job can have.
        """
        for job in self._jobs_called(text):
            if project is None or job.project == project.name:
                return job.name
        return job_name(text)

    def _jobs_called(self, text: str) -> Iterator[Job]:
        yield from self.service.called("name", text)
        if (job := self.service.job(job_name(text))) is not None:
            yield job
        yield from self.service.called("slug", text)

    def url(self, request: web.Request) -> str:
        """Return the base URL for clients, without a trailing slash.

        Raises RequestError if the Host header of the request is invalid.
        """
        try:
            return self._url or f"{request.url.origin()}{prefix_of(request)}"
        except ValueError:
            host = request.headers.get(hdrs.HOST, "")
            raise RequestError(f"invalid Host header {host[:80]!r}") from None


async def record_one(
    recorder: ReportRecorder, received: Received, caller: Caller
) -> ReportResult:
    """Record one report and return its result; raise the error if it is refused."""
    result = await recorder.record(received, caller)
    if isinstance(result, Exception):
        raise result
    return result


async def batch_response(
    received: Sequence[Received], results: Sequence[ReportResult | Exception]
) -> web.Response:
    """Return the response to reports.

    Its status is 400 if every report is refused, 403 if all of them lack permission.
    """
    status = 200
    if results and all(isinstance(result, Exception) for result in results):
        forbidden = all(isinstance(result, ForbiddenError) for result in results)
        status = 403 if forbidden else 400
    return await batches.batch_response(received, results, status)


async def describe(
    context: DialectContext,
    recorder: ReportRecorder,
    job: str,
    description: Description,
    problems: Sequence[str],
    caller: Caller,
) -> tuple[str, ...]:
    """Apply the description of *job* that came with a report; return warnings.

    An invalid description never costs a report: invalid settings, including
    *problems*, are logged and stored with the job, and the others are applied.
    Callers that may not report cannot describe the job either.
    """
    if not caller.may(Scope.PING, job):
        # The response to its report has this error.
        return ()
    try:
        usable, unusable = context.job_admin.usable(job, description, problems)
        await context.job_admin.describe(job, usable, unusable)
    except ConfiguredJobError as error:
        # Clients send their description with every report: do not log it each time.
        return (str(error),)
    except UnknownJobError:
        # The response to its report has this error.
        return ()
    if not unusable.why:
        return ()
    recorder.refuse_description(job, unusable.why)
    return (f"the description of the job cannot be used: {unusable.why}",)


def job_name(text: str) -> str:
    """Return a valid job name for *text*, which may be *text* itself.

    Non-ASCII letters are dropped, so a digest of the original name is appended to
    keep names distinct. Raises PingError if no valid character remains.
    """
    if JOB_NAME.fullmatch(text):
        return text
    plain = normalize("NFKD", text) if not text.isascii() else text
    fitting = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._:-") else "-"
        for letter in plain
        if not combining(letter)
    ).lstrip("._:-")
    if not text.isascii():
        mark = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        fitting = f"{fitting.rstrip('-')[:119] or 'job'}-{mark}"
    return check_name(fitting[:128])


async def read_text(request: web.Request, limit: int) -> tuple[str, bool]:
    """Return the body of *request* as text, and True if it exceeded *limit*.

    The beginning and the end of a longer body are kept. Bytes that are invalid in
    its charset are replaced, and a body that cannot be decompressed counts as empty:
    no ping is lost because of its body.
    """
    try:
        body, cut = await read_ends(request, limit)
    except PingError:
        return "", False
    return decode(body, request.headers.get(hdrs.CONTENT_TYPE, "")), cut
