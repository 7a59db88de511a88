"""The samples of a push, read as a report of its job."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from prometheus_client.samples import Sample

from afterrun_exporter.core.metric_names import series_name
from afterrun_exporter.core.model import Job, Kind, Ping
from afterrun_exporter.core.outcome_metrics import DEFAULTS, OutcomeMetricsReader
from afterrun_exporter.dialects.pushgateway.text_format import Exposed
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest.report_metrics import ReportMetrics, read_metrics

#: Metrics about the pusher's process, from the default collectors of the client
#: libraries for Go, Java, JavaScript, Python, .NET, Ruby and Rust. Jobs may have their
#: own metrics with the same prefixes: `process_rows`, `go_live_total`.
PROCESS: Final = re.compile(
    r"python_(?:info|gc_\w+)"
    r"|process_(?:cpu_(?:(?:user|system)_)?seconds_total|cpu_usage|uptime_seconds"
    r"|(?:open|max)_fds|files_(?:open|max)_files|open_handles|num_threads|threads"
    r"|(?:virtual|resident|heap|private)_memory_(?:max_)?bytes|heap_bytes"
    r"|start_time_seconds|network_(?:receive|transmit)_bytes_total)"
    r"|go_(?:info|build_info|goroutines|threads|gomaxprocs\w*|(?:gc|memstats|sched|cgo"
    r"|cpu_classes|memory_classes|sync|godebug)_\w+)"
    r"|nodejs_(?:version_info|external_memory_bytes"
    r"|(?:eventloop|heap|active|gc|event_loop)_\w+)"
    r"|jvm_(?:info|runtime_info|(?:memory|gc|threads|classes|buffer|compilation"
    r"|memory_pool)_\w+)"
    r"|dotnet_(?:build_info|total_memory_bytes|(?:collection|gc|jit|threadpool)_\w+)"
    r"|ruby_(?:info|gc_\w+|heap_\w+)"
    r"|promhttp_metric_handler_(?:requests|errors)\w*"
)

#: The most metrics of one push that are recorded; further ones are only counted.
MOST_METRICS: Final = 2000

#: Labels of the parts of a histogram or summary, which are no metrics of the run.
_PARTS: Final = ("le", "quantile")


class PushReader:
    """Reads the samples of a push as a report of *job*; None for an unknown job."""

    def __init__(
        self, job: Job | None, name: str, group: Mapping[str, str], metrics_limit: int
    ) -> None:
        rules = job.rules if job is not None else ()
        settings = (job.push if job is not None else None) or DEFAULTS
        self._job = name
        self._group = group
        self._limit = metrics_limit
        thresholds = (rule for rule in rules if rule.assertion is None)
        self._rules = frozenset(rule.metric for rule in thresholds)
        self._signs = OutcomeMetricsReader(name, settings, self._rules)
        #: Values of metrics with a rule, and of other metrics.
        self._rule_values: dict[str, float] = {}
        self._values: dict[str, float] = {}
        self._dropped: Counter[str] = Counter()

    def read(self, sample: Sample) -> None:
        """Add one sample; raise PingError if it has a timestamp."""
        if sample.timestamp is not None:
            raise PingError("pushed metrics must not have timestamps")
        labels = {k: v for k, v in sample.labels.items() if k not in self._group}
        name, series = sample.name, series_name(sample.name, labels)
        if series in self._rules:
            self._rule_values[series] = sample.value
        elif PROCESS.fullmatch(name):
            self._dropped["process"] += 1
            return
        elif name.endswith("_created") or any(part in labels for part in _PARTS):
            return
        elif len(self._values) < MOST_METRICS or series in self._values:
            self._values[series] = sample.value
        else:
            self._dropped["limit"] += 1
        self._signs.read(name, labels, sample.value)

    def ping(
        self, at: float, fingerprint: bytes, exposed: Exposed
    ) -> tuple[Ping, ReportMetrics]:
        """Return the ping with all samples, and the result of reading its metrics."""
        report_metrics = read_metrics(
            {**self._rule_values, **self._values}, self._limit
        )
        report_metrics.dropped.update(self._dropped)
        duration, warning = self._signs.duration()
        ping = Ping(
            job=self._job,
            kind=Kind.FINISH,
            at=at,
            ended_at=self._signs.ended_at,
            duration=duration,
            metrics=report_metrics.values,
            fingerprint=fingerprint,
            warnings=(*report_metrics.warnings, *filter(None, [warning])),
            push=self._signs.push({**exposed.types, **exposed.helps}),
        )
        return ping, report_metrics
