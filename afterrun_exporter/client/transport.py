"""HTTP requests of the commands that report, that read, and that check the chain.

Only the standard library is used: `afterrun exec` starts before every job, and must not
delay it. Proxies are not used, because the daemon is usually on the same network, and
redirects are not followed, because the token is not meant for their target.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult

from afterrun_exporter.client.urls import authorization, hidden, public_url, target

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

#: The most characters of another program's text in a message.
LONGEST_QUOTE: Final = 200


class NoResponseError(Exception):
    """No response, or none that is HTTP; *hint* says what a user can change."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the daemon, or of another program at its URL."""

    status: int
    body: bytes
    #: The header Date, or "".
    date: str
    #: The parsed JSON body; `NOT_JSON` if it is none.
    document: Any
    #: The reason that the daemon gives for refusing the request, or "".
    detail: str
    #: A message for people, if the status is an error.
    problem: str


#: The document of a response that is not JSON.
NOT_JSON: Final = object()


class Transport:
    """Requests to the daemon at a URL; a token takes precedence over credentials in it.

    Or to *program*, another one, whose address is set with *option*. With *key_header*,
    the token is sent in that header, beside the credentials in the URL.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        program: str = "AfterRun",
        option: str = "--url or AFTERRUN_URL",
        key_header: str = "",
    ) -> None:
        #: The URL without credentials.
        self.url = public_url(url)
        self._program, self._option = program, option
        self._target = url.rstrip("/")
        self._token = token
        self._key_header = key_header

    def request(
        self,
        method: str,
        path: str,
        timeout: float,
        body: bytes | None = None,
        media: str = "application/json",
        most: int | None = None,
        limit: float = 0.0,
    ) -> Response:
        """Return the response to one request; at most *most* bytes of it are read.

        *timeout* is that of each read from the network. *limit* is that of the whole
        request in seconds, for programs that are not trusted; 0 for none.
        Raises NoResponseError, and ValueError if the URL or the token cannot be used.
        """
        # This import takes longer than all others together; the job runs meanwhile.
        from http.client import HTTPException  # noqa: PLC0415

        headers = {"User-Agent": "afterrun", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = media
        parts = target(self._target)
        allowed = self._add_credentials(headers)
        try:
            with (
                closing(_connection(parts, timeout)) as connection,
                _time_limit(connection, limit),
            ):
                connection.request(method, parts.path + path, body, headers)
                answer = connection.getresponse()
                text = answer.read(most)
        except _TooSlowError:
            raise NoResponseError(
                f"no whole response from {self.url} within {limit:g} seconds"
            ) from None
        except OSError as error:
            raise self._unreachable(error, allowed) from None
        except HTTPException as error:
            reason = _one_line(hidden(str(error), allowed)) or type(error).__name__
            raise NoResponseError(
                f"{self.url} does not respond like {self._program}: {reason}"
            ) from None
        except ValueError as error:
            # A name that no request can contain.
            raise ValueError(f"cannot send to {self.url!r}: {error}") from None
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = NOT_JSON
        is_problem = isinstance(document, dict) and "detail" in document
        detail = hidden(str(document["detail"]), allowed) if is_problem else ""
        problem = detail or self._unexpected(answer, allowed)
        if detail and answer.status == 401:
            problem += ": put a token into AFTERRUN_TOKEN"
        date = answer.getheader("Date") or ""
        return Response(answer.status, text, date, document, detail, problem)

    def _add_credentials(self, headers: dict[str, str]) -> str:
        """Add the credentials to *headers*; return the header to hide in messages."""
        if not self._key_header:
            if allowed := authorization(self._target, self._token):
                headers["Authorization"] = allowed
            return allowed
        if allowed := authorization(self._target, ""):
            headers["Authorization"] = allowed
        if not self._token:
            return allowed
        # It refuses a token that no header can contain.
        key = authorization(self._target, self._token).partition(" ")[2]
        headers[self._key_header] = key
        return f"{self._key_header} {key}"

    def _unexpected(self, answer: HTTPResponse, allowed: str) -> str:
        """Return the description of an error that is not one of the daemon."""
        if to := hidden(answer.getheader("Location") or "", allowed):
            return (
                f"{self.url} answered {answer.status} with a redirect to "
                f"{public_url(to)[:LONGEST_QUOTE]!r}; if that is {self._program}, set "
                f"{self._option} to it"
            )
        status = f"{answer.status} {hidden(answer.reason, allowed)}".strip()
        return f"{self.url} answered {status} and does not respond like {self._program}"

    def _unreachable(self, error: OSError, allowed: str) -> NoResponseError:
        # Errors about a certificate have it.
        if untrusted := getattr(error, "verify_message", ""):
            return NoResponseError(
                f"the certificate of {self.url} is not trusted: {untrusted}; set "
                "SSL_CERT_FILE to its CA"
            )
        reason = hidden(error.strerror or str(error), allowed) or type(error).__name__
        return NoResponseError(
            f"no response from {self.url}: {reason}",
            hint=f"; is {self._program} running there? Set {self._option} for another "
            "address",
        )


class _TooSlowError(Exception):
    """The time limit of a request has passed."""


@contextmanager
def _time_limit(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """End *connection* after so many *seconds*, and raise _TooSlowError; 0 for never."""
    if not seconds:
        yield
        return
    connection.connect()
    # The connection forgets it before the response is read.
    sock = connection.sock
    from threading import Event, Timer  # noqa: PLC0415

    expired = Event()

    def end() -> None:
        expired.set()
        with suppress(OSError):
            sock.shutdown(SHUT_RDWR)

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:
        if expired.is_set():
            raise _TooSlowError from None
        raise
    finally:
        timer.cancel()
    if expired.is_set():
        raise _TooSlowError


def _connection(parts: SplitResult, timeout: float) -> HTTPConnection:
    from http.client import HTTPConnection, HTTPSConnection  # noqa: PLC0415

    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        return HTTPConnection(host, port, timeout=timeout)
    # The system's certificates are trusted, and the host name is checked.
    return HTTPSConnection(host, port, timeout=timeout)


def _one_line(text: str) -> str:
    """Return *text* without line breaks and control characters, shortened."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(plain.split())[:LONGEST_QUOTE]
