"""The context manager, the decorator and the single ping for Python jobs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Final, ParamSpec, Self, TypeVar

from afterrun_exporter.client import clock
from afterrun_exporter.client.arguments import Metrics
from afterrun_exporter.client.daemon import Answer
from afterrun_exporter.client.environment import metadata as surroundings
from afterrun_exporter.client.report_sender import QueuedReport, ReportSender
from afterrun_exporter.client.reports import (
    cut,
    dated,
    new_run_id,
    report,
    worse_status,
)
from afterrun_exporter.client.settings import Settings, default_spool, find_token
from afterrun_exporter.client.urls import DEFAULT_URL

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE: Final = 15.0


class Run:
    """One run of a job; created by `run`.

    Nothing here raises because of AfterRun: problems are logged as warnings of the
    logger ``afterrun``.
    """

    def __init__(
        self, job: str, sender: ReportSender, run_id: str, metadata: Mapping[str, Any]
    ) -> None:
        self.job = job
        self.run_id = run_id
        #: The daemon's response to the end of the run; None if there is none.
        self.verdict: Answer | None = None
        self._sender = sender
        self._metadata = dict(metadata)
        self._metrics = Metrics()
        self._message = ""
        self._status = "ok"
        self._began: tuple[float, float] = (0.0, 0.0)
        self._start_report: QueuedReport | None = None

    def metric(self, name: str, value: float) -> None:
        """Report a metric for rules to check; the last value of a name counts."""
        self._metrics.add(name, value)

    def message(self, text: str) -> None:
        """Set the message of the run."""
        self._message = str(text)

    def metadata(self, name: str, value: Any) -> None:
        """Add a fact to the metadata of the run."""
        self._metadata[name] = value

    def fail(self, text: str = "", status: str = "fail") -> None:
        """Report the run as failed, or as ``partial``, although it raised nothing."""
        self._status = status
        self._message = str(text) or self._message

    def progress(self) -> None:
        """Send a progress report with the metrics so far."""
        heartbeat = self._report("progress", metrics=dict(self._metrics.values))
        _quietly(self._sender.heartbeat, heartbeat)

    def __enter__(self) -> Self:
        self._began = clock.now(), clock.stopwatch()
        _quietly(self._start)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        _quietly(self._finish, error, clock.now(), clock.stopwatch())

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, _: object, error: BaseException | None, __: object
    ) -> None:
        # A late import: it takes long, and is needed only with an event loop.
        from asyncio import to_thread  # noqa: PLC0415

        end_times = clock.now(), clock.stopwatch()
        await to_thread(_quietly, self._finish, error, *end_times)

    def _start(self) -> None:
        self._start_report = self._sender.start(self._report("start"))

    def _finish(
        self, error: BaseException | None, end_times: float, stopwatch: float
    ) -> None:
        status, code, error_text = _error_report(error)
        for problem in self._metrics.all_problems():
            _warn(problem)
        finish = self._report(
            status or self._status,
            ended_at=end_times,
            duration_ms=round(1000 * (stopwatch - self._began[1]), 3),
            exit_code=code,
            message=cut(
                "\n".join(text for text in (self._message, error_text) if text)
            ),
            metrics=self._metrics.values,
        )
        queued = self._sender.finish(finish, self._start_report)
        self._sender.wait(queued)
        self._sender.close()
        self.verdict = queued.response

    def _report(self, status: str, **fields: Any) -> Any:
        return report(
            self.job,
            status,
            run_id=self.run_id,
            started_at=self._began[0],
            metadata=self._metadata,
            **fields,
        )


def run(
    job: str,
    *,
    run_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    url: str | None = None,
    token: str | None = None,
    spool: str | Path | None = None,
    patience: float = PATIENCE,
) -> Run:
    """Return a run of *job*, to be used ``with`` or ``async with``.

    An exception fails the run, with the end of its traceback as the message, and is
    raised again. The options are those of ``afterrun exec``.
    """
    sender = ReportSender(_settings(url, token, spool, patience), _warn)
    facts = {**(_quietly(_surroundings) or {}), **(metadata or {})}
    return Run(job, sender, run_id or new_run_id(), facts)


def job(name: str, **options: Any) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Report each call of a function or coroutine function as a run of job *name*."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        if iscoroutinefunction(function):

            @wraps(function)
            async def waited(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with run(name, **options):
                    return await function(*args, **kwargs)

            return waited  # type: ignore[return-value]

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            with run(name, **options):
                return function(*args, **kwargs)

        return called

    return decorate


def ping(
    job: str,
    status: str = "ok",
    *,
    metrics: Mapping[str, float] | None = None,
    message: str = "",
    duration: float | None = None,
    exit_code: int | None = None,
    run_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    url: str | None = None,
    token: str | None = None,
    spool: str | Path | None = None,
    patience: float = PATIENCE,
) -> Answer | None:
    """Send one report; return the response, or None if there is none (yet)."""

    def send() -> Answer | None:
        numbers = Metrics()
        for name, value in (metrics or {}).items():
            numbers.add(name, value)
        for problem in numbers.all_problems():
            _warn(problem)
        worse, contradiction = worse_status(status, exit_code)
        if contradiction:
            _warn(contradiction)
        unsent = report(
            job,
            worse,
            run_id=run_id,
            exit_code=exit_code,
            duration_ms=None if duration is None else 1000 * duration,
            message=cut(message),
            metrics=numbers.values,
            metadata=dict(metadata or {}),
        )
        sender = ReportSender(_settings(url, token, spool, patience), _warn)
        queued = sender.finish(dated(unsent, clock.now()))
        sender.wait(queued)
        sender.close()
        return queued.response

    return _quietly(send)


async def aping(job: str, status: str = "ok", **fields: Any) -> Answer | None:
    """Send one report as `ping` does, without blocking the event loop."""
    from asyncio import to_thread  # noqa: PLC0415 - see above

    return await to_thread(ping, job, status, **fields)


def _error_report(error: BaseException | None) -> tuple[str, int | None, str]:
    """Return the status, the exit status and the message for *error*."""
    if error is None:
        return "", None, ""
    if isinstance(error, SystemExit):
        if error.code in {None, 0}:
            return "", 0, ""
        code = error.code if isinstance(error.code, int) else 1
        return "fail", code, "" if isinstance(error.code, int) else str(error.code)
    from traceback import format_exception  # noqa: PLC0415 - needed only after an error

    return "fail", None, "".join(format_exception(error)).rstrip()


def _settings(
    url: str | None, token: str | None, spool: str | Path | None, patience: float
) -> Settings:
    return Settings(
        url=url or os.environ.get("AFTERRUN_URL") or DEFAULT_URL,
        token=find_token(os.environ, None, _warn) if token is None else token,
        spool=Path(spool) if spool else default_spool(os.environ, os.geteuid()),
        patience=patience,
    )


def _surroundings() -> dict[str, Any]:
    return surroundings(os.environ, Path.cwd())


def _quietly(act: Callable[..., T], *args: Any) -> T | None:
    """Call *act*; an error in reporting must not fail the job."""
    try:
        return act(*args)
    except Exception as error:  # noqa: BLE001 - see above
        _warn(f"a report was lost: {type(error).__name__}: {error}")
        return None


def _warn(text: str) -> None:
    from logging import getLogger  # noqa: PLC0415 - `afterrun exec` does not need it

    getLogger("afterrun").warning("%s", text)
