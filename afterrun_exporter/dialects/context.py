"""Where the dialects of other systems hand in what their clients report."""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Iterable, Sequence
from hashlib import sha256
from unicodedata import combining, normalize

from aiohttp import hdrs, web

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.model import JOB_NAME
from afterrun_exporter.core.projects import Project
from afterrun_exporter.dialects.healthchecks.uuid_index import UuidIndex
from afterrun_exporter.engine.job_admin import JobAdmin, Words
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
from afterrun_exporter.ingest.batches import told_all
from afterrun_exporter.ingest.bodies import read_ends
from afterrun_exporter.ingest.fields import number
from afterrun_exporter.ingest.json_text import decode
from afterrun_exporter.ingest.recorder import Received, ReportRecorder
from afterrun_exporter.ingest.reports import check_name


class DialectContext:
    """What every dialect needs: the time, and the way to the core."""

    def __init__(
        self, service: Service, clock: Clock, pushed: PushedMetrics, url: str = ""
    ) -> None:
        self.service = service
        self.clock = clock
        #: What is exposed again as it was pushed.
        self.pushed = pushed
        #: What is said of jobs besides reports.
        self.job_admin = JobAdmin(service, clock)
        self.uuid_index = UuidIndex(service)
        #: Held while a name that is free is looked for, and taken.
        self.creating = Lock()
        self._url = url.rstrip("/")

    @property
    def body_limit(self) -> int:
        """How many bytes of a body are read."""
        return self.service.job_config.body_bytes

    def recorder(self, dialect: str) -> ReportRecorder:
        """Return where *dialect* hands in its pings; it names them in the metrics."""
        return ReportRecorder(self.service, self.clock, dialect)

    def is_known(self, job: str) -> bool:
        """Return whether the job of this name is watched."""
        return self.service.job(job) is not None

    def job_called(self, text: str, project: Project | None = None) -> str:
        """Return the job that another system calls *text*: the same for every dialect.

        That is the one with this name there, of the *project* if there is one; else
        the job of the name that `job_name` makes of it, or one with this slug. Raises
        PingError for a name that no job can have.
        """
        service = self.service
        for job in service.called("name", text):
            if project is None or job.project == project.name:
                return job.name
        name = job_name(text)
        if (known := service.job(name)) is not None and (
            project is None or known.project == project.name
        ):
            return name
        for job in service.called("slug", text):
            if project is None or job.project == project.name:
                return job.name
        return name

    def url(self, request: web.Request) -> str:
        """Return how clients reach us, without a slash at its end.

        Raises RequestError where the request names a host that is none.
        """
        try:
            return self._url or str(request.url.origin())
        except ValueError:
            host = request.headers.get(hdrs.HOST, "")
            raise RequestError(f"Host: {host[:80]!r} is not a host") from None


async def recorded(
    recorder: ReportRecorder, received: Received, caller: Caller
) -> ReportResult:
    """Return the verdict on one report; raise what it is refused with."""
    result = await recorder.take(received, caller)
    if isinstance(result, Exception):
        raise result
    return result


async def answered(
    recorder: ReportRecorder, received: Sequence[Received], caller: Caller
) -> web.Response:
    """Record reports in one transaction, and answer with what was made of each."""
    return await answer(received, await recorder.take_all(received, caller))


async def answer(
    received: Sequence[Received], results: Sequence[ReportResult | Exception]
) -> web.Response:
    """Return the answer to reports.

    Its status is 400 where every one of them is refused, 403 where each for its job.
    """
    status = 200
    if results and all(isinstance(result, Exception) for result in results):
        forbidden = all(isinstance(result, ForbiddenError) for result in results)
        status = 403 if forbidden else 400
    return web.json_response(await told_all(received, results), status=status)


async def describe(
    context: DialectContext,
    recorder: ReportRecorder,
    job: str,
    words: Words,
    problems: Sequence[str],
    caller: Caller,
) -> tuple[str, ...]:
    """Have *job* be what a client says of it beside a report; return warnings.

    No report is lost for a description: what cannot be used of it, as *problems* are
    already, is logged and kept with the job, and the rest counts. Who may not report
    may not describe either.
    """
    if not caller.may(Scope.PING, job):
        # Its report will be answered with that.
        return ()
    try:
        usable, unusable = context.job_admin.usable(job, words, problems)
        await context.job_admin.describe(job, usable, unusable)
    except ConfiguredJobError as error:
        # Its client says the same with every report: nobody wants to read it again.
        return (str(error),)
    except UnknownJobError:
        # Its report will be answered with that.
        return ()
    if not unusable.why:
        return ()
    recorder.refuse_description(job, unusable.why)
    return (f"the description of the job cannot be used: {unusable.why}",)


def job_name(text: str) -> str:
    """Return the job that another system calls *text*: that, or what is like it.

    Names in other letters than ASCII's differ in what cannot be kept of them, so a
    digest of the name tells them apart. Raises PingError for a name of which nothing
    is left.
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
    """Return the body of *request* as text, and whether it was longer than *limit*.

    Of a longer one the beginning and the end are kept. Bytes that its charset does not
    have are replaced: a ping is not lost for its body. One that cannot be decompressed
    is taken for empty.
    """
    try:
        body, cut = await read_ends(request, limit)
    except PingError:
        return "", False
    return decode(body, request.headers.get(hdrs.CONTENT_TYPE, "")), cut


def numbers(pairs: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Return those of *pairs*, as queries and forms have them, that are numbers.

    What is not finite is among them: it counts as a metric that is missing.
    """
    found = {name: number(text) for name, text in pairs}
    return {name: value for name, value in found.items() if value is not None}
