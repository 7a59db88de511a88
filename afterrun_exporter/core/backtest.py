"""Backtest: rules applied to the finished runs of a job.

A run is flagged if it reported ok and violates a rule. The recorded violations are
those of the rules at that time. The tested rules are applied as to a report
(core/finishes.py), run after run: `previous` is the last run that would have been ok
under the tested rules.

The history is incomplete if the oldest runs of the job were deleted:

- The previous run of the oldest one is unknown. Until a run was ok, a rule relative to
  `previous` is neither satisfied nor violated, and the result is `UNKNOWN`. The
  recorded outcome then decides if the run was ok.
- The oldest run is assumed to have arrived in order.
- The clock was set back where a run arrived before the previous one; other reports are
  not stored, so the backtest does not notice that only they did.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.finishes import is_late, was_given_up
from afterrun_exporter.core.model import FAILURES, NEUTRAL, Outcome, Run
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.rules import (
    DURATION,
    Rule,
    Violation,
    is_message,
    judge_all,
    measured,
)
from afterrun_exporter.core.text_fields import Texts
from afterrun_exporter.core.timestamps import format_time

#: The number of newest flagged runs to keep in detail; all are counted.
MAX_FLAGGED: Final = 500

#: The number of names of text fields to keep for spelling hints.
MAX_FIELDS: Final = 1000

_REPORTED_OK: Final = frozenset({Outcome.OK, Outcome.VIOLATED})
_NOTHING: Final[Mapping[str, float]] = {}


class Change(StrEnum):
    """The result of the tested rules for a run, compared with the recorded result."""

    NEWLY = "newly_flagged"
    NO_LONGER = "no_longer_flagged"
    BOTH = "flagged_by_both"
    NEITHER = "flagged_by_neither"
    #: A rule compares it with a deleted run; it violates no other rule.
    UNKNOWN = "unknown"
    #: It did not report ok: rules do not apply to it.
    NOT_JUDGED = "not_judged"


#: Changes of the result.
DIFFERENT: Final = frozenset({Change.NEWLY, Change.NO_LONGER})


@dataclass(frozen=True, slots=True)
class BacktestRun:
    """A run, and its result under the tested rules."""

    run: Run
    change: Change
    #: The rules it would have violated, with values and thresholds of that time.
    violations: tuple[Violation, ...]
    #: Names of rules that cannot be evaluated for it.
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class Count:
    """The number of runs that one rule flags."""

    rule: str
    metric: str
    #: False if the rule is recorded only, and not one of the tested rules.
    is_tested: bool
    would_flag: int = 0
    was_flagged: int = 0
    #: Runs that it would flag because they did not report the metric.
    not_reported: int = 0
    unknown: int = 0


class Backtest:
    """The comparison of tested rules with the recorded violations of a job's runs.

    It receives all kept runs, the oldest first, one at a time, so that the caller can
    pause. Runs that ended at *since* or later are counted.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        since: float = -math.inf,
        max_flagged: int = MAX_FLAGGED,
    ) -> None:
        self.rules = tuple(rules)
        self.since = since
        #: The number of runs by result.
        self.changes: Counter[Change] = Counter()
        #: The number of flagged runs, unknown ones included.
        self.was_flagged = 0
        #: The newest runs that are or were flagged, or are unknown.
        self.flagged: deque[BacktestRun] = deque(maxlen=max_flagged)
        #: By name: the tested rules, then those that were only recorded.
        self.by_rule = {
            rule.name: Count(rule.name, rule.metric, is_tested=True) for rule in rules
        }
        #: The oldest kept run, and the first and last one that are counted.
        self.oldest: Run | None = None
        self.first: Run | None = None
        self.last: Run | None = None
        self._replay = _Replay(self.rules)
        self._texts = [rule for rule in rules if rule.assertion is not None]
        #: Names of all reported metrics and text fields.
        self._reported: set[str] = set()
        self._fields: set[str] = set()

    def add(self, run: Run) -> None:
        """Apply the rules to *run*, the next one in order of arrival."""
        if self.oldest is None:
            self.oldest = run
        result = self._replay.add(run)
        if run.finished_at < self.since or run.is_retried:
            return
        self.first, self.last = self.first or run, run
        self.changes[result.change] += 1
        if result.change is Change.NOT_JUDGED:
            return
        self.was_flagged += run.outcome is Outcome.VIOLATED
        self._reported.update(measured(run.metrics, run.duration))
        if self._texts:
            self._record_fields(run)
        if result.change is not Change.NEITHER:
            self.flagged.append(result)
        for violation in result.violations:
            count = self.by_rule[violation.rule]
            count.would_flag += 1
            count.not_reported += violation.actual is None
        for rule in result.unknown:
            self.by_rule[rule].unknown += 1
        for violation in run.violations:
            count = self.by_rule.setdefault(
                violation.rule, Count(violation.rule, violation.metric, is_tested=False)
            )
            count.was_flagged += 1

    @property
    def runs(self) -> int:
        """The number of counted runs."""
        return self.changes.total()

    @property
    def judged(self) -> int:
        """The number of counted runs that reported ok."""
        return self.runs - self.changes[Change.NOT_JUDGED]

    @property
    def would_flag(self) -> int:
        """The number of runs that the rules would have flagged."""
        return self.changes[Change.NEWLY] + self.changes[Change.BOTH]

    @property
    def forgotten(self) -> int:
        """The number of deleted runs that *since* would include."""
        if self.oldest is None or self.oldest.finished_at < self.since:
            return 0
        return self.oldest.number - 1

    def warnings(self) -> Iterator[str]:
        """Yield warnings about rules that may be misspelt."""
        for rule in self.rules if self.judged else ():
            reported = self._reported if rule.assertion is None else self._fields
            if rule.metric not in reported and not is_message(rule):
                yield self._never_reported(rule, reported)

    def gaps(self) -> Iterator[str]:
        """Yield the gaps of the history."""
        if self.forgotten:
            older = plural(self.forgotten, "older run")
            were = "was" if self.forgotten == 1 else "were"
            yield f"history is incomplete: {older} of this job {were} deleted"
        if unknown := self.changes[Change.UNKNOWN]:
            yield (
                f"{plural(unknown, 'run')} cannot be evaluated: what they compare "
                "with (`previous`) was deleted"
            )

    def _record_fields(self, run: Run) -> None:
        reported = Texts(run.message, run.metadata)
        if len(self._fields) < MAX_FIELDS:
            self._fields.update(reported.names())
        for rule in self._texts:
            if reported.get(rule.metric) is not None:
                self._fields.add(rule.metric)

    def _never_reported(self, rule: Rule, reported: Collection[str]) -> str:
        effect = "never flags" if rule.ignore_missing else "flags every run"
        if rule.metric == DURATION:
            return (
                f"{rule.name!r} {effect}: the duration of these runs is unknown; "
                "report duration_ms, or their start"
            )
        if rule.assertion is not None and rule.metric in self._reported:
            metric = f"{rule.metric!r} is a metric, not a text"
            return f"{rule.name!r} {effect}: {metric}; compare it with a number"
        hint = did_you_mean(rule.metric, reported) or _reported_names(reported)
        return f"{rule.name!r} {effect}: {rule.metric!r} was never reported{hint}"


class _Replay:
    """Applies rules to runs in order of arrival, as `finishes.finish` does."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._relative = [
            rule for rule in rules if any(bound.of_previous for bound in rule.bounds)
        ]
        #: The metrics of the last ok run; None while unknown.
        self._previous: Mapping[str, float] | None = None
        self._judged_at = -math.inf
        #: Runs that were given up: a later report of their failure has no effect.
        self._given_up: set[tuple[str | None, int]] = set()

    def add(self, run: Run) -> BacktestRun:
        if run.number == 1:
            self._previous = _NOTHING
        reported_ok, values = (
            run.outcome in _REPORTED_OK,
            measured(run.metrics, run.duration),
        )
        violations: tuple[Violation, ...] = ()
        unknown: tuple[str, ...] = ()
        if reported_ok:
            violations = judge_all(
                self._rules,
                values,
                self._previous or _NOTHING,
                run.message,
                run.metadata,
            )
            unknown = tuple(self._unknown_rules(values, violations))
        # Unknown results are as recorded.
        ok = (
            reported_ok
            and not violations
            and (not unknown or run.outcome is Outcome.OK)
        )
        # An earlier report than the last one: the clock was set back in between.
        self._judged_at = min(self._judged_at, run.received_at)
        ignored = run.outcome in NEUTRAL or run.is_retried or self._is_given_up(run)
        if not (ignored or is_late(run, self._judged_at)):
            self._judged_at = run.finished_at
            self._previous = values if ok else self._previous
        return BacktestRun(run, _change(run, violations, unknown), violations, unknown)

    def _is_given_up(self, run: Run) -> bool:
        attempt = (run.run_id, run.attempt)
        if was_given_up(run):
            if run.run_id is not None:
                self._given_up.add(attempt)
            return True
        return attempt in self._given_up and run.outcome in FAILURES

    def _unknown_rules(
        self, values: Mapping[str, float], violations: Sequence[Violation]
    ) -> Iterator[str]:
        if self._previous is None:
            violated = {violation.rule for violation in violations}
            for rule in self._relative:
                if rule.metric in values and rule.name not in violated:
                    yield rule.name


def _change(
    run: Run, violations: Sequence[Violation], unknown: Sequence[str]
) -> Change:
    if run.outcome not in _REPORTED_OK:
        return Change.NOT_JUDGED
    if unknown and not violations:
        return Change.UNKNOWN
    if run.outcome is Outcome.VIOLATED:
        return Change.BOTH if violations else Change.NO_LONGER
    return Change.NEWLY if violations else Change.NEITHER


def _reported_names(names: Iterable[str]) -> str:
    few = sorted(set(names) - {DURATION})[:10]
    return f"; these runs reported {', '.join(few)}" if few else ""


def newest(
    result: Backtest, changes: Collection[Change] = DIFFERENT
) -> Iterator[BacktestRun]:
    """Yield the runs with one of *changes*, the newest first."""
    return (one for one in reversed(result.flagged) if one.change in changes)


def headline(result: Backtest) -> str:
    """Return the result in one sentence, as the page, the API and the CLI show it."""
    if result.oldest is None:
        return "no runs yet: there is nothing to test rules on"
    if not result.runs:
        return f"no run ended since {format_time(result.since)}"
    if not result.judged:
        return f"none of {plural(result.runs, 'run')} reported ok: rules apply to no others"
    newly, no_longer = result.changes[Change.NEWLY], result.changes[Change.NO_LONGER]
    summary = (
        f"{result.would_flag:,} of {plural(result.judged, 'run')} would be flagged, "
        f"{result.was_flagged:,} {'was' if result.was_flagged == 1 else 'were'}"
    )
    if not (newly or no_longer):
        return f"{summary}: no result changes"
    return f"{summary}: {newly:,} newly, {no_longer:,} no longer"


def changed_verdicts(changes: Mapping[str, int]) -> int:
    """Return the number of runs with another verdict, from their numbers by `Change`."""
    return changes[Change.NEWLY] + changes[Change.NO_LONGER]
