"""Metrics that state success, failure or the duration of a run, in one push.

A push has no status: the outcome of the run depends on its metrics alone. This module
reads the signs in one push; `core/push_outcomes.py` compares them with the earlier pushes of
the job.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import translate
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from msgspec import Struct, field

from afterrun_exporter.core.metric_names import series_name
from afterrun_exporter.core.plurals import plural

#: The year 5138: a larger value is a time in a smaller unit than seconds.
MAX_TIME: Final = 1e11
#: 1973: a smaller value is not the time of anything that a job reports.
MIN_TIME: Final = 1e8
#: Longer metric names are remembered by a digest.
MAX_NAME: Final = 128
#: Signs of failure that are described; the others are counted.
MAX_DESCRIBED: Final = 5

_PREFIX: Final = r"(?:.*[_:])?"
_SUCCESS_TIME: Final = re.compile(rf"{_PREFIX}last_success(?:ful|fully)?(?:_(.+))?")
_FAILURE_TIME: Final = re.compile(rf"{_PREFIX}last_(?:failure|failed)(?:_(.+))?")
#: Words after `last_success` that make it something else than a time.
_QUANTITY: Final = re.compile(
    r"age|ago|bytes|code|count|duration|elapsed|id|info|items|number|percent|ratio"
    r"|records|rows|runtime|size|status|took|total|version"
)
_SUCCESS_FLAG: Final = re.compile(
    rf"{_PREFIX}(?:success|successful|succeeded|ok|up|healthy)(?:_bool)?", re.IGNORECASE
)
#: A participle or a singular noun states how the run ended. `errors` and `failures`
#: count things that a successful run may have met, except where they count tests.
_FAILURE_FLAG: Final = re.compile(
    rf"{_PREFIX}(?:(?:exit|return|ret)_?(?:code|status)|rc|error_code"
    r"|(?:failed|failure|crashed|aborted|errored|timed_out|(?:has|is)_errors?)(?:_bool)?"
    r"|(?:tests|testcases|testsuite|pytest|junit)_(?:errors|failures|failed))",
    re.IGNORECASE,
)
_LIVENESS: Final = re.compile(rf"{_PREFIX}(?:up|healthy)")
_STATE: Final = re.compile(rf"{_PREFIX}(?:state|status|result|outcome|info)")
_STATE_LABELS: Final = frozenset({"state", "status", "result", "outcome"})
_FAILED_STATE: Final = re.compile(
    r"fail|failed|failing|failure|error|errored|crashed|aborted|timeout|timed[_-]out",
    re.IGNORECASE,
)

#: Names of the whole run's duration; other durations are ignored beside them.
_OWN_DURATION: Final = ("duration_seconds", "job_duration_seconds")
_DURATION: Final = re.compile(rf"{_PREFIX}duration_seconds")
#: Words in the name or the labels of a duration of something other than this run.
_PART: Final = re.compile(
    r"api|average|avg|call|connect|dns|estimated|expected|gc|grpc"
    r"|https?|item|limit|lock|max|mean|median|min|p[0-9]+|page|phase|planned|poll"
    r"|previous|quantile|quer(?:y|ies)|records?|requests?|response|row|rpc|scrape|setup"
    r"|sleep|sql|stage|step|success|teardown|timeout|transaction|wait"
)
_UNITS: Final[Mapping[str, float]] = {
    "ms": 1e-3,
    "milliseconds": 1e-3,
    "minutes": 60.0,
    "hours": 3600.0,
}


class PushSettings(Struct, frozen=True, kw_only=True, gc=False):
    """The meaning of a job's pushes; the patterns are globs over metric names."""

    #: Metrics whose value is the time of the last success; () for the usual names.
    success_metric: tuple[str, ...] = ()
    #: Metrics whose value is the duration of the run; () for the usual names.
    duration_metric: tuple[str, ...] = ()
    #: Metrics that state nothing about the run.
    ignore: tuple[str, ...] = ()
    #: True if a push without a sign of the end is progress of an open run.
    progress: bool = False


DEFAULTS: Final = PushSettings()


class Times(Struct, frozen=True, gc=False):
    """The series of one metric whose values are times, in Unix seconds."""

    #: The earliest and the latest one; 0 for a value that is no time.
    low: float
    high: float
    series: int
    #: A value that is no time, as text; "" if each one is.
    bad: str = ""


def _no_times() -> Mapping[str, Times]:
    return {}


class Push(Struct, frozen=True, kw_only=True):
    """The signs in one push."""

    #: Times of the last success and of the last failure, by metric name.
    succeeded: Mapping[str, Times] = field(default_factory=_no_times)
    failed: Mapping[str, Times] = field(default_factory=_no_times)
    #: Success metrics that the push declares without a value.
    missing: tuple[str, ...] = ()
    #: The configured success metric, if nothing in the push matches it.
    required: str = ""
    #: Plain signs of failure, in words.
    failures: tuple[str, ...] = ()
    #: Success flags that are not set, in words.
    unset: tuple[str, ...] = ()
    #: True if a success flag is set.
    confirmed: bool = False
    #: True for a deletion of the group instead of a push.
    deleted: bool = False


def is_success_time(name: str, settings: PushSettings) -> bool:
    """Return True if the metric *name* has the time of the last success."""
    if settings.success_metric:
        return _matches(settings.success_metric, name)
    return _is_time(_SUCCESS_TIME, name) and not _matches(settings.ignore, name)


def is_failure_time(name: str, settings: PushSettings) -> bool:
    """Return True if the metric *name* has the time of the last failure."""
    return _is_time(_FAILURE_TIME, name) and not _matches(settings.ignore, name)


def instant(value: float) -> float:
    """Return a time of any unit in Unix seconds; 0 if *value* is no time."""
    if not math.isfinite(value) or value <= 0:
        return 0.0
    for _ in range(3):  # milliseconds, microseconds, nanoseconds
        if value < MAX_TIME:
            return float(value)
        value /= 1000
    return float(value) if value < MAX_TIME else 0.0


class OutcomeMetricsReader:
    """Collects the signs in the samples of one push."""

    def __init__(
        self, job: str, settings: PushSettings, rules: Collection[str]
    ) -> None:
        self._settings = settings
        #: Series that the job has rules for: the rules judge their numbers.
        self._rules = rules
        self._own = (*_OWN_DURATION, f"{_plain(job)}_duration_seconds")
        self._succeeded: dict[str, Times] = {}
        self._failed: dict[str, Times] = {}
        self._failures: list[str] = []
        self._unset: list[str] = []
        self._confirmed = False
        self._durations: list[tuple[bool, str, float]] = []

    def read(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Read one sample, without the labels of its group."""
        settings, series = self._settings, series_name(name, labels)
        self._read_duration(name, labels, value)
        if _matches(settings.ignore, name) or _matches(settings.ignore, series):
            return
        if is_success_time(name, settings):
            _add(self._succeeded, _key(name), value)
            return
        if _matches(settings.success_metric, series):
            _add(self._succeeded, _key(series), value)
            return
        if is_failure_time(name, settings):
            _add(self._failed, _key(name), value)
        elif series not in self._rules or not math.isfinite(value):
            self._read_flag(name, labels, series, value)

    def duration(self) -> tuple[float | None, str]:
        """Return the duration of the run in seconds, if any, and a warning or ""."""
        durations = self._durations
        own = [value for plain, name, value in durations if plain and name in self._own]
        plain = [value for plain, _, value in durations if plain]
        for candidates in (own, [value for *_, value in durations], plain):
            if len(candidates) == 1:
                return candidates[0], ""
        if durations and self._settings.duration_metric:
            return None, (
                f"{plural(len(durations), 'metric')} match push.duration_metric: the "
                "duration of the run is unknown; name one"
            )
        return None, ""

    def push(self, declared: Iterable[str] = ()) -> Push:
        """Return the signs; *declared* are metric names, with or without samples."""
        configured = self._settings.success_metric
        return Push(
            succeeded=self._succeeded,
            failed=self._failed,
            missing=tuple(self._missing(declared)),
            required="" if self._succeeded else " or ".join(configured),
            failures=tuple(self._failures),
            unset=tuple(self._unset),
            confirmed=self._confirmed,
        )

    @property
    def ended_at(self) -> float | None:
        """The time of the last success that is in the push."""
        return max((one.high for one in self._succeeded.values()), default=0.0) or None

    def _missing(self, declared: Iterable[str]) -> Iterable[str]:
        for name in declared:
            # A client library declares a labelled metric that was never set.
            if _key(name) not in self._succeeded and is_success_time(
                name, self._settings
            ):
                yield _key(name)

    def _read_flag(
        self, name: str, labels: Mapping[str, str], series: str, value: float
    ) -> None:
        if _SUCCESS_TIME.fullmatch(name) or _FAILURE_TIME.fullmatch(name):
            return  # a quantity, or a time where another metric is configured
        if _SUCCESS_FLAG.fullmatch(name):
            if value > 0:
                self._confirmed = self._confirmed or not _LIVENESS.fullmatch(name)
            else:
                _describe(self._unset, series, value)
        elif (_FAILURE_FLAG.fullmatch(name) and value != 0) or (
            value == 1 and _is_failed_state(name, labels)
        ):
            _describe(self._failures, series, value)

    def _read_duration(
        self, name: str, labels: Mapping[str, str], value: float
    ) -> None:
        patterns, factor = self._settings.duration_metric, 1.0
        if patterns:
            if not _matches(patterns, name):
                return
            factor = _UNITS.get(name.rpartition("_")[2], 1.0)
        elif not _DURATION.fullmatch(name) or (
            name not in self._own and _has(_PART, (*_words(name), *labels))
        ):
            return
        if 0 <= value * factor < MAX_TIME:
            self._durations.append((not labels, name, float(value * factor)))


def _is_time(pattern: re.Pattern[str], name: str) -> bool:
    match = pattern.fullmatch(name)
    return match is not None and not _has(_QUANTITY, _words(match[1] or ""))


def _is_failed_state(name: str, labels: Mapping[str, str]) -> bool:
    """Return True if this is the series of a failed state in a set of states."""
    for label, state in labels.items():
        if _FAILED_STATE.fullmatch(state) and (
            label == name or (label in _STATE_LABELS and _STATE.fullmatch(name))
        ):
            return True
    return False


def _add(times: dict[str, Times], name: str, value: float) -> None:
    at = instant(value)
    bad = "" if at else f"{value:g}"
    if (times_before := times.get(name)) is None:
        times[name] = Times(at, at, 1, bad)
    else:
        low, high = min(times_before.low, at), max(times_before.high, at)
        times[name] = Times(low, high, times_before.series + 1, times_before.bad or bad)


def _describe(descriptions: list[str], series: str, value: float) -> None:
    if len(descriptions) < MAX_DESCRIBED:
        descriptions.append(f"{_key(series)} is {value:g}")
    elif len(descriptions) == MAX_DESCRIBED:
        descriptions.append("and others")


def _key(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    mark = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{name[: MAX_NAME - len(mark) - 1]}~{mark}"


def _plain(job: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", job)


def _words(name: str) -> list[str]:
    return re.split(r"[_:]", name)


def _has(word: re.Pattern[str], words: Iterable[str]) -> bool:
    return any(map(word.fullmatch, words))


@lru_cache(maxsize=1024)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return bool(patterns) and _compiled(patterns).match(name) is not None
