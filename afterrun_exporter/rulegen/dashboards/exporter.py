"""The dashboard of the exporter itself: pings, storage, delivery, process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen.dashboards import shared
from afterrun_exporter.rulegen.dashboards.shared import OF_EXPORTER, RANGE
from afterrun_exporter.rulegen.panels import Dashboard, Kind, Panel, Query, Row, Text

_INSTANCE: Final = "{{instance}}"


def _of(metric: str, *matchers: str) -> str:
    return f"{metric}{{{','.join((OF_EXPORTER, *matchers))}}}"


def _rate(metric: str, *matchers: str) -> str:
    return f"rate({_of(metric, *matchers)}[{RANGE}])"


def _increase(metric: str, *matchers: str) -> str:
    return f"increase({_of(metric, *matchers)}[{RANGE}])"


def _legend(*labels: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def _stat(
    title: str,
    expr: str,
    legend: str = _INSTANCE,
    *,
    description: str = "",
    texts: Mapping[str, Text] | None = None,
    unit: str = "",
    red: str = "",
    shows_legend: bool = False,
) -> Panel:
    return Panel(
        title=title,
        kind=Kind.STAT,
        queries=(Query(expr, legend),),
        description=description,
        texts=texts or {},
        unit=unit,
        red=red,
        shows_legend=shows_legend,
        width=4,
        height=4,
    )


def _lines(
    title: str,
    *queries: Query,
    description: str = "",
    unit: str = "short",
    colours: Mapping[str, str] | None = None,
    empty: str = "",
    width: int = 12,
) -> Panel:
    return Panel(
        title=title,
        kind=Kind.LINES,
        queries=queries,
        description=description,
        unit=unit,
        low=0,
        colours=colours or {},
        empty=empty,
        width=width,
    )


def _bars(
    title: str,
    *queries: Query,
    description: str = "",
    colours: Mapping[str, str] | None = None,
    empty: str = "",
) -> Panel:
    return Panel(
        title=title,
        kind=Kind.BARS,
        queries=queries,
        description=description,
        colours=colours or {},
        decimals=0,
        empty=empty,
    )


_NOW: Final = Row(
    "Now",
    (
        _stat(
            "Answers",
            _of("up"),
            texts={"0": Text("no", "red"), "1": Text("yes", "green")},
            description="Whether Prometheus could scrape it.",
        ),
        _stat("Version", _of(names.BUILD_INFO), _legend("version"), shows_legend=True),
        _stat(
            "Started",
            f"{_of('process_start_time_seconds')} * 1000",
            unit="dateTimeFromNow",
        ),
        _stat(
            "Configuration",
            _of(names.RELOAD_SUCCESSFUL),
            texts={"0": Text("refused", "red"), "1": Text("loaded", "green")},
            description="Whether the last reload succeeded. A rejected one "
            "leaves the old configuration in place.",
        ),
        _stat(
            "Configuration loaded",
            f"{_of(names.RELOAD_TIMESTAMP)} * 1000",
            unit="dateTimeFromNow",
        ),
        _stat(
            "Refused by the database",
            f"sum(increase({_of(names.STORAGE_ERRORS)}[$__range]))",
            "transactions",
            description="Transactions in the chosen time. Nothing of them was "
            "recorded; the jobs were answered 503.",
            red=".*",
        ),
    ),
)


def _pings_by(label: str) -> Query:
    return Query(f"sum by ({label}) ({_rate(names.PINGS)})", _legend(label))


def _pings_that_were(result: str) -> Query:
    pings = _increase(names.PINGS, f'{names.RESULT}="{result}"')
    dialect = _legend(names.DIALECT)
    return Query(f"sum by ({names.DIALECT}) ({pings})", f"{result}, {dialect}")


_PINGS: Final = Row(
    "Pings",
    (
        _lines("Pings by dialect", _pings_by(names.DIALECT), unit="reqps"),
        _lines(
            "Pings by result",
            _pings_by(names.RESULT),
            unit="reqps",
            colours={"accepted": "green", "duplicate": "blue", "rejected": "red"},
        ),
        _bars(
            "Rejected and duplicate pings",
            _pings_that_were("rejected"),
            _pings_that_were("duplicate"),
            description="A rejected ping is a job whose report did not count; "
            "a duplicate is harmless.",
            colours={"rejected.*": "red", "duplicate.*": "blue"},
        ),
        _bars(
            "Dropped metric values",
            Query(
                f"sum by (reason) ({_increase(names.METRICS_DROPPED)})",
                _legend("reason"),
            ),
            description="The pings themselves were recorded.",
        ),
    ),
)


def _commit(share: str) -> str:
    buckets = _rate(f"{names.COMMIT_DURATION}_bucket")
    return f"histogram_quantile({share}, sum by (le) ({buckets}))"


_STORAGE: Final = Row(
    "Storage",
    (
        _lines(
            "Commit duration",
            Query(_commit("0.5"), "p50"),
            Query(_commit("0.99"), "p99"),
            description="Every ping waits for one, including fsync. Slow commits indicate a "
            "slow disk.",
            unit="s",
        ),
        _lines(
            "Commits",
            Query(f"sum({_rate(f'{names.COMMIT_DURATION}_count')})", "per second"),
            unit="ops",
        ),
        _lines(
            "Database size", Query(_of(names.DATABASE_SIZE), _INSTANCE), unit="bytes"
        ),
        _bars(
            "Transactions that the database refused",
            Query(f"sum({_increase(names.STORAGE_ERRORS)})", "refused"),
            colours={"refused": "red"},
        ),
        _bars(
            "Steps of the clock, and pauses of the exporter",
            Query(f"sum({_increase(names.CLOCK_STEPS)})", "steps"),
            Query(f"sum({_increase(names.PAUSES)})", "pauses"),
        ),
    ),
)

_NOT_PUSHED: Final = "alertmanager.push_to is not configured"

_DELIVERY: Final = Row(
    "Alerts and configuration",
    (
        _bars(
            "Posts to Alertmanager",
            Query(
                f"sum by ({names.ALERTMANAGER}, {names.RESULT}) ({_increase(names.PUSHES)})",
                _legend(names.ALERTMANAGER, names.RESULT),
            ),
            description="Alerts sent by the exporter itself.",
            empty=_NOT_PUSHED,
        ),
        _lines(
            "Alerts waiting for an Alertmanager",
            Query(
                f"max by ({names.ALERTMANAGER}) ({_of(names.PUSH_WAITING)})",
                _legend(names.ALERTMANAGER),
            ),
            description="Above 0 for long: that Alertmanager is down or rejects alerts.",
            empty=_NOT_PUSHED,
        ),
        _bars(
            "Loads of the configuration",
            Query(f"sum(changes({_of(names.RELOAD_TIMESTAMP)}[{RANGE}]))", "loaded"),
        ),
        _lines(
            "Jobs by state",
            shared.jobs_by_state(OF_EXPORTER),
            Query(f"sum(max by (job) ({_of(names.UNOBSERVED_JOBS)}))", "unobserved"),
            description="Unobserved: last due while AfterRun was down, whatever their "
            "state.",
        ),
    ),
)

_FILES: Final = f"{_of('process_open_fds')} / {_of('process_max_fds')}"

_PROCESS: Final = Row(
    "Process and scrape",
    (
        _lines(
            "CPU",
            Query(_rate("process_cpu_seconds_total"), _INSTANCE),
            description="100 % is one core.",
            unit="percentunit",
            width=8,
        ),
        _lines(
            "Memory",
            Query(_of("process_resident_memory_bytes"), _INSTANCE),
            unit="bytes",
            width=8,
        ),
        _lines(
            "Open files",
            Query(_FILES, _INSTANCE),
            description="Of those that it may open. Each connection is one.",
            unit="percentunit",
            width=8,
        ),
        _lines(
            "Scrape duration",
            Query(_of("scrape_duration_seconds"), _INSTANCE),
            description="The default timeout of Prometheus is 10 s.",
            unit="s",
        ),
        _lines("Samples in a scrape", Query(_of("scrape_samples_scraped"), _INSTANCE)),
    ),
)


def dashboard() -> Dashboard:
    """Return the dashboard for all selected instances."""
    return Dashboard(
        uid=shared.EXPORTER_UID,
        title="AfterRun exporter",
        description="The exporter itself: pings, storage, delivery, process.",
        variables=(shared.EXPORTER,),
        rows=(_NOW, _PINGS, _STORAGE, _DELIVERY, _PROCESS),
    )
