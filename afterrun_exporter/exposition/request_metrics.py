"""The exporter's metrics of HTTP requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from afterrun_exporter import conventions as names


class Handler(Protocol):
    """Numbers and durations of the requests of one handler."""

    @property
    def buckets(self) -> Sequence[int]: ...

    @property
    def seconds(self) -> float: ...

    def results(self) -> Iterable[tuple[str, int, int]]: ...


class Requests(Protocol):
    """Numbers and durations of all requests."""

    @property
    def bounds(self) -> Sequence[float]: ...

    def handlers(self) -> Iterable[tuple[str, Handler]]: ...


def request_metrics(requests: Requests) -> Iterator[Metric]:
    """Yield the metrics of *requests*."""
    counter = CounterMetricFamily(
        names.HTTP_REQUESTS,
        names.HELP[names.HTTP_REQUESTS],
        labels=(names.CODE, names.METHOD, names.HANDLER),
    )
    durations = HistogramMetricFamily(
        names.HTTP_DURATION, names.HELP[names.HTTP_DURATION], labels=(names.HANDLER,)
    )
    bounds = [*map(floatToGoString, requests.bounds), "+Inf"]
    for handler, counts in requests.handlers():
        for method, code, number in counts.results():
            counter.add_metric([str(code), method, handler], number)
        buckets = list(zip(bounds, accumulate(counts.buckets), strict=True))
        durations.add_metric([handler], buckets, counts.seconds)
    yield counter
    yield durations
