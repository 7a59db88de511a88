"""Error responses in the format ``application/problem+json``, RFC 9457."""

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

from afterrun_exporter import errors
from afterrun_exporter.auth.redaction import without_key
from afterrun_exporter.auth.route_prefix import prefix_of
from afterrun_exporter.errors import UNCERTAIN, AfterRunError, StorageError

CONTENT_TYPE: Final = "application/problem+json"

#: Additional headers by status. A browser prompts for a password on a 401.
HEADERS: Final[Mapping[int, Sequence[tuple[str, str]]]] = {
    HTTPStatus.UNAUTHORIZED: (
        # One header per challenge: Chromium reads only the first one in a header.
        ("WWW-Authenticate", 'Basic realm="AfterRun", charset="UTF-8"'),
        ("WWW-Authenticate", 'Bearer realm="AfterRun"'),
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (("Retry-After", "5"),),
    HTTPStatus.SERVICE_UNAVAILABLE: (("Retry-After", "5"),),
}
#: The prefix of problem types, which are identifiers and no links.
TYPES: Final = "urn:afterrun:problem:"

STATUS: Final[dict[type[AfterRunError], HTTPStatus]] = {
    error: error.status
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, AfterRunError) and error.status
}

#: The kinds of other problems, by status.
KINDS: Final = {
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.INTERNAL_SERVER_ERROR: "server-failed",
}

#: Messages of aiohttp's parser that quote nothing from the request.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9 /,`':.-]{0,80}")

log = structlog.get_logger()


class _FailureLog:
    """Logs internal errors with a traceback, rate-limited per place of origin.

    The same error may occur in every request.
    """

    #: The most places that are counted.
    MOST: Final = 100

    def __init__(self) -> None:
        self._counts: Counter[tuple[object, ...]] = Counter()

    def record(self, error: Exception, **facts: str) -> None:
        place = _place_of(error)
        if len(self._counts) >= self.MOST and place not in self._counts:
            self._counts.clear()
        self._counts[place] += 1
        number = self._counts[place]
        # Log the first, the 10th, the 100th ...
        if set(str(number)[1:]) <= {"0"} and str(number)[0] == "1":
            log.error("request_failed", **facts, times=number, exc_info=error)


def _place_of(error: Exception) -> tuple[object, ...]:
    """Return the type of an error and the place where it was raised."""
    raised = error.__traceback__
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    where = (raised.tb_frame.f_code, raised.tb_lineno) if raised is not None else ()
    return (type(error), *where)


_failure_log: Final = _FailureLog()


def problem(status: int, detail: str, kind: str = "", **more: Any) -> dict[str, Any]:
    """Return the body of a problem; *more* are extension members.

    The default *kind* depends on the status.
    """
    http_status = HTTPStatus(status)
    kind = kind or KINDS.get(http_status, "bad-request")
    members = {
        "type": TYPES + kind,
        "title": http_status.phrase,
        "status": http_status.value,
    }
    return {**members, "detail": detail, **more}


def problem_of(error: Exception, **more: Any) -> dict[str, Any]:
    """Return the problem for *error*, without details of internal errors."""
    status = STATUS.get(type(error)) if isinstance(error, AfterRunError) else None
    if status is None or not isinstance(error, AfterRunError):
        return problem(500, "internal server error; see the log of the daemon", **more)
    detail = str(error)
    if error.kind == StorageError.kind:
        if not detail.endswith(UNCERTAIN):
            detail += "; nothing was recorded"
        detail += ": send it again"
    return problem(status, detail, error.kind, **more)


def unreadable(error: HttpProcessingError) -> dict[str, Any]:
    """Return the problem for a request that is not valid HTTP.

    Nothing of the request is quoted, because any line may contain a key or a token.
    """
    reason, hint = _reason(error), ""
    if isinstance(error, InvalidURLError):
        hint = '; percent-encode non-ASCII characters, as in "%C3%A4"'
    elif isinstance(error, BadHttpMethod) or "Data after" in reason:
        hint = "; the Content-Length must be the length of the body in bytes"
    elif "CRLF" in reason:
        hint = "; end each header line with CRLF (\\r\\n)"
    return problem(400, f"the request cannot be read: {reason}{hint}")


def unsupported_expectation() -> web.Response:
    """Return the response to an unknown Expect header, without quoting it."""
    detail = "unsupported Expect header: use 100-continue, or leave Expect out"
    return response(problem(HTTPStatus.EXPECTATION_FAILED, detail))


def _reason(error: HttpProcessingError) -> str:
    """Return the message of aiohttp's parser, without quotes from the request."""
    if isinstance(error, LineTooLong):
        return f"more than {error.args[1]} bytes in one line or header"
    # The parser in C puts its message first, and the quoted data below.
    message, below, _ = error.message.partition(":\n\n")
    message = " ".join(message.split())
    if below and _PLAIN.fullmatch(message):
        return message
    if isinstance(error, InvalidURLError):
        return "the address is not a valid URL"
    if isinstance(error, BadHttpMethod):
        return "it does not begin with an HTTP method"
    return "it is not HTTP"


def response(body: dict[str, Any]) -> web.Response:
    """Return the response with a problem as its body."""
    status = body["status"]
    http_response = web.json_response(body, status=status, content_type=CONTENT_TYPE)
    http_response.headers.extend(HEADERS.get(status, ()))
    return http_response


@web.middleware
async def errors_as_problems(
    request: web.Request, handler: Handler
) -> web.StreamResponse:
    """Return a problem for every error; log internal errors."""
    http_response = await _handle(request, handler)
    if request.content.exception() is not None:
        # The end of a malformed body, and the next request, cannot be found.
        http_response.force_close()
    return http_response


async def _handle(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        http_response = response(problem(error.status, _hint(request, error)))
        if "Allow" in error.headers:
            http_response.headers["Allow"] = error.headers["Allow"]
        return http_response
    except ConnectionResetError:
        # The client closed the connection, which is not an error of the daemon.
        path = without_key(request.path)
        log.debug("client_hung_up", method=request.method, path=path)
        return response(problem(400, "the connection closed in mid-request"))
    except Exception as error:  # noqa: BLE001 - it becomes the response
        return response(logged_problem(error, request.method, request.path))


def logged_problem(error: Exception, method: str, path: str) -> dict[str, Any]:
    """Return the problem for *error*; log an internal error."""
    if not isinstance(error, AfterRunError):
        _failure_log.record(error, method=method, path=without_key(path))
    return problem_of(error)


def _hint(request: web.Request, error: web.HTTPException) -> str:
    if error.status == HTTPStatus.NOT_FOUND:
        prefix = prefix_of(request)
        path = json.dumps(f"{prefix}{without_key(request.path)}")
        return f"no such path {path}; jobs report to {prefix}/ping/{{job}}"
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        path = without_key(request.path)
        return f"{request.method} is not allowed for {path}: use one of {allowed}"
    return error.text or error.reason
