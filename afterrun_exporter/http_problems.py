"""Errors as HTTP answers: ``application/problem+json``, RFC 9457."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import (
    BadHttpMethod,
    HttpProcessingError,
    InvalidURLError,
    LineTooLong,
)
from aiohttp.typedefs import Handler

from afterrun_exporter.auth.redaction import without_key
from afterrun_exporter.errors import (
    AfterRunError,
    AlertmanagerError,
    AlertmanagerRefusedError,
    BodyError,
    ConfigError,
    ConfiguredJobError,
    DescriptionError,
    ForbiddenError,
    GenerateError,
    HistoryError,
    PingError,
    ReceiverExistsError,
    RequestError,
    StorageError,
    TooManyLoginsError,
    UnauthorizedError,
    UnknownJobError,
    UnknownReceiverError,
    UnreadableStorageError,
)

CONTENT_TYPE: Final = "application/problem+json"

#: What whoever may not come in is told besides. A browser then asks for a password.
HEADERS: Final[Mapping[int, Sequence[tuple[str, str]]]] = {
    HTTPStatus.UNAUTHORIZED: (
        # A line each: Chromium reads no second challenge in one.
        ("WWW-Authenticate", 'Basic realm="AfterRun", charset="UTF-8"'),
        ("WWW-Authenticate", 'Bearer realm="AfterRun"'),
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (("Retry-After", "5"),),
    HTTPStatus.SERVICE_UNAVAILABLE: (("Retry-After", "5"),),
}
#: What the types of problems begin with. They name a kind and lead nowhere.
TYPES: Final = "urn:afterrun:problem:"

STATUS: Final[dict[type[AfterRunError], HTTPStatus]] = {
    PingError: HTTPStatus.BAD_REQUEST,
    BodyError: HTTPStatus.BAD_REQUEST,
    HistoryError: HTTPStatus.BAD_REQUEST,
    UnknownJobError: HTTPStatus.NOT_FOUND,
    StorageError: HTTPStatus.SERVICE_UNAVAILABLE,
    UnreadableStorageError: HTTPStatus.SERVICE_UNAVAILABLE,
    # As Prometheus answers a reload of a bad configuration.
    ConfigError: HTTPStatus.INTERNAL_SERVER_ERROR,
    GenerateError: HTTPStatus.INTERNAL_SERVER_ERROR,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    TooManyLoginsError: HTTPStatus.TOO_MANY_REQUESTS,
    RequestError: HTTPStatus.BAD_REQUEST,
    UnknownReceiverError: HTTPStatus.NOT_FOUND,
    ReceiverExistsError: HTTPStatus.CONFLICT,
    ConfiguredJobError: HTTPStatus.CONFLICT,
    DescriptionError: HTTPStatus.BAD_REQUEST,
    AlertmanagerError: HTTPStatus.BAD_GATEWAY,
    AlertmanagerRefusedError: HTTPStatus.BAD_GATEWAY,
}

#: The kinds of problems that are none of these errors, by their status.
KINDS: Final = {
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.INTERNAL_SERVER_ERROR: "server-failed",
}

#: Words of the parser itself.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9 /,`':.-]{0,80}")

log = structlog.get_logger()


class _Failures:
    """Logs errors of ours: a traceback for each place they come from, now and then.

    Somebody may meet the same one with every request.
    """

    #: Places that are remembered.
    MOST: Final = 100

    def __init__(self) -> None:
        self._seen: Counter[tuple[object, ...]] = Counter()

    def tell(self, error: Exception, **facts: str) -> None:
        place = _place_of(error)
        if len(self._seen) >= self.MOST and place not in self._seen:
            self._seen.clear()
        self._seen[place] += 1
        number = self._seen[place]
        # The first, the 10th, the 100th ...
        if set(str(number)[1:]) <= {"0"} and str(number)[0] == "1":
            log.error("request_failed", **facts, times=number, exc_info=error)


def _place_of(error: Exception) -> tuple[object, ...]:
    """Return what tells errors apart: their type, and where they were raised."""
    raised = error.__traceback__
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    where = (raised.tb_frame.f_code, raised.tb_lineno) if raised is not None else ()
    return (type(error), *where)


_failures: Final = _Failures()


def problem(status: int, detail: str, kind: str = "", **more: Any) -> dict[str, Any]:
    """Return the body of a problem; *more* are extension members.

    Without a *kind* of its own it is of the kind that its status stands for.
    """
    known = HTTPStatus(status)
    kind = kind or KINDS.get(known, "bad-request")
    of = {"type": TYPES + kind, "title": known.phrase, "status": known.value}
    return {**of, "detail": detail, **more}


def problem_of(error: Exception, **more: Any) -> dict[str, Any]:
    """Return the problem that *error* is; of one that is ours, no detail."""
    status = STATUS.get(type(error)) if isinstance(error, AfterRunError) else None
    if status is None or not isinstance(error, AfterRunError):
        return problem(500, "the server failed; its log says why", **more)
    detail = str(error)
    if type(error) is StorageError:
        detail += "; nothing was recorded: send it again"
    return problem(status, detail, error.kind, **more)


def unreadable(error: HttpProcessingError) -> dict[str, Any]:
    """Return the problem of what cannot be read as HTTP.

    Nothing that was sent is quoted: a key or a token may stand in any line of it.
    """
    said, hint = _reason(error), ""
    if isinstance(error, InvalidURLError):
        hint = '; write what is not ASCII percent-encoded, as "%C3%A4"'
    elif isinstance(error, BadHttpMethod) or "Data after" in said:
        hint = "; a body needs a Content-Length that is its length in bytes"
    elif "CRLF" in said:
        hint = "; end each line of the head with CRLF (\\r\\n)"
    return problem(400, f"the request cannot be read: {said}{hint}")


def unexpected() -> web.Response:
    """Return the answer to an Expect header that aiohttp would quote."""
    known = "of expectations, 100-continue alone is understood: leave Expect out"
    return response(problem(HTTPStatus.EXPECTATION_FAILED, known))


def _reason(error: HttpProcessingError) -> str:
    """Return what aiohttp's parser says of a request, without what it quotes of it."""
    if isinstance(error, LineTooLong):
        return f"got more than {error.args[1]} bytes in one line or header"
    # The parser in C puts its own words first, and what it has read below.
    said, below, _ = error.message.partition(":\n\n")
    said = " ".join(said.split())
    if below and _PLAIN.fullmatch(said):
        return said
    if isinstance(error, InvalidURLError):
        return "the address is no URL"
    if isinstance(error, BadHttpMethod):
        return "it begins with no method of HTTP"
    return "it is not HTTP"


def response(body: dict[str, Any]) -> web.Response:
    """Return the answer that carries a problem."""
    status = body["status"]
    answer = web.json_response(body, status=status, content_type=CONTENT_TYPE)
    answer.headers.extend(HEADERS.get(status, ()))
    return answer


@web.middleware
async def errors_as_problems(
    request: web.Request, handler: Handler
) -> web.StreamResponse:
    """Answer every error with a problem; log those that are ours."""
    answer = await _answer(request, handler)
    if request.content.exception() is not None:
        # Where a broken body ends, and the next request begins, nobody can tell.
        answer.force_close()
    return answer


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        answer = response(problem(error.status, _hint(request, error)))
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except ConnectionResetError:
        # Nobody is there to be answered; clients hang up, it is no error of ours.
        path = without_key(request.path)
        log.debug("client_hung_up", method=request.method, path=path)
        return response(problem(400, "the connection closed in mid-request"))
    except Exception as error:  # noqa: BLE001 - it becomes the answer
        return response(told(error, request.method, request.path))


def told(error: Exception, method: str, path: str) -> dict[str, Any]:
    """Return the problem that *error* is; log one that is ours."""
    if not isinstance(error, AfterRunError):
        _failures.tell(error, method=method, path=without_key(path))
    return problem_of(error)


def _hint(request: web.Request, error: web.HTTPException) -> str:
    if error.status == HTTPStatus.NOT_FOUND:
        path = json.dumps(without_key(request.path))
        return f"nothing is at {path}: jobs report to /ping/{{job}}"
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        path = without_key(request.path)
        return f"{request.method} is not for {path}: use one of {allowed}"
    return error.text or error.reason
