"""Numbers and durations of requests, by handler.

A ping adds to integers in lists, which costs less than a microsecond.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from aiohttp import hdrs, web

from afterrun_exporter.auth.endpoints import TELEMETRY
from afterrun_exporter.auth.request_caller import ROUTE

#: The largest durations of the buckets, in seconds.
BOUNDS: Final = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)

#: The label of unknown methods and paths, and of requests that cannot be read.
OTHER: Final = "other"

_METHODS: Final = {
    method: method.lower()
    for method in (
        hdrs.METH_DELETE,
        hdrs.METH_GET,
        hdrs.METH_HEAD,
        hdrs.METH_OPTIONS,
        hdrs.METH_PATCH,
        hdrs.METH_POST,
        hdrs.METH_PUT,
    )
}
_PING: Final = "/ping/{job}"
#: The route of scrapes, whatever path is configured.
_METRICS: Final = "/metrics"
#: The end of routes with an optional slash.
_SLASH: Final = "{slash}"


class HandlerCounts:
    """Numbers and durations of the requests of one handler."""

    __slots__ = ("_results", "buckets", "seconds")

    def __init__(self) -> None:
        self._results: dict[tuple[str, int], list[int]] = {}
        #: The number of requests in each bucket; the last one has no bound.
        self.buckets = [0] * (len(BOUNDS) + 1)
        #: The sum of all durations.
        self.seconds = 0.0

    def counter(self, method: str, code: int) -> list[int]:
        """Return the number of requests with this result, in a list."""
        return self._results.setdefault((method, code), [0])

    def add(self, counter: list[int], seconds: float) -> None:
        """Count a request with the result of *counter*."""
        counter[0] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def results(self) -> Iterator[tuple[str, int, int]]:
        """Yield the method, the status and the number of each result."""
        for (method, code), (number,) in self._results.items():
            yield method, code, number


class RequestCounts:
    """Numbers and durations of all requests that were answered.

    Labels are templates of routes, so their number does not depend on requests.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, HandlerCounts] = {}
        # Prometheus does not see an increase of a counter that first appears at 1.
        self._pings = self._handler(_PING)
        self._recorded = self._pings.counter("post", 200)

    @property
    def bounds(self) -> Sequence[float]:
        """The largest durations of the buckets, in seconds."""
        return BOUNDS

    def handlers(self) -> Iterator[tuple[str, HandlerCounts]]:
        """Yield the counts of each handler that has had a request."""
        yield from self._handlers.items()

    def ping(self, code: int, seconds: float) -> None:
        """Count a ping of the fast path."""
        pings = self._pings
        pings.add(
            self._recorded if code == 200 else pings.counter("post", code), seconds
        )

    def add(self, request: web.BaseRequest, code: int, seconds: float) -> None:
        """Count *request*, which was answered with *code*."""
        counts = self._handler(_template(request))
        method = _METHODS.get(request.method, OTHER)
        counts.add(counts.counter(method, code), seconds)

    def _handler(self, template: str) -> HandlerCounts:
        counts = self._handlers.get(template)
        if counts is None:
            counts = self._handlers[template] = HandlerCounts()
        return counts


def _template(request: web.BaseRequest) -> str:
    """Return the route of *request*, which only requests to the application have."""
    route = request.get(ROUTE) or OTHER
    return _METRICS if route == TELEMETRY else route.removesuffix(_SLASH)


REQUESTS: Final = web.AppKey("requests", RequestCounts)
