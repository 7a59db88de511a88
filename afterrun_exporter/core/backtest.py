"""Rules tried on the finished runs of a job: what they would have flagged.

A run is flagged when it says that it is ok and breaks a rule. What was flagged is
what was recorded of it, whatever the rules were then. What would have been is judged
as a report is (core/finishes.py), run after run: `previous` is the last run that
would have been ok under the rules that are tried.

History says less than the job once did where its oldest runs are not kept any more:

- What the oldest run that is kept compares with is not known. Until a run was ok, a
  rule relative to `previous` is neither kept nor broken, and `UNKNOWN` says so. Whether
  such a run was ok is what was recorded of it.
- The oldest run that is kept is taken to have come in its turn.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from afterrun_exporter.core.did_you_mean import near
from afterrun_exporter.core.finishes import is_late, was_given_up
from afterrun_exporter.core.model import FAILURES, NEUTRAL, Outcome, Run
from afterrun_exporter.core.rules import (
    DURATION,
    Rule,
    Violation,
    is_message,
    judge_all,
    measured,
)
from afterrun_exporter.core.texts import Texts

#: Flagged runs that are kept in detail, the newest ones; all are counted.
MOST_SHOWN: Final = 500

#: Names of text fields that are remembered to see what a misspelt one may mean.
MOST_FIELDS: Final = 1000

_SAID_OK: Final = frozenset({Outcome.OK, Outcome.VIOLATED})
_NOTHING: Final[Mapping[str, float]] = {}


class Change(StrEnum):
    """What other rules make of a run, against what was made of it."""

    NEWLY = "newly_flagged"
    NO_LONGER = "no_longer_flagged"
    BOTH = "flagged_by_both"
    NEITHER = "flagged_by_neither"
    #: A rule compares it with a run that is not kept any more; it breaks no other.
    UNKNOWN = "unknown"
    #: It did not say that it was ok: rules do not judge it.
    NOT_JUDGED = "not_judged"


#: Runs that rules judge.
JUDGED: Final = frozenset(Change) - {Change.NOT_JUDGED}
#: Of these the verdict would have been another.
DIFFERENT: Final = frozenset({Change.NEWLY, Change.NO_LONGER})


@dataclass(frozen=True, slots=True)
class BacktestRun:
    """A run, and what it would have come to."""

    run: Run
    change: Change
    #: The rules it would have broken, with the value and the threshold of then.
    violations: tuple[Violation, ...]
    #: Names of rules that it cannot be held against.
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class Count:
    """How often one rule flags."""

    rule: str
    metric: str
    #: Whether it is one of those that are tried; if not, it was recorded alone.
    tried: bool
    would_flag: int = 0
    was_flagged: int = 0
    #: Of those it would flag, runs that did not report the metric.
    not_reported: int = 0
    unknown: int = 0


class Backtest:
    """What rules would have flagged of the runs of a job, against what was flagged.

    It takes all runs that are kept, the oldest first, and one at a time: whoever
    has many may pause. Counted are those that ended at *since* or later.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        since: float = -math.inf,
        most_shown: int = MOST_SHOWN,
    ) -> None:
        self.rules = tuple(rules)
        self.since = since
        #: How many runs came to what.
        self.changes: Counter[Change] = Counter()
        #: How many were flagged, those included of which no more is known.
        self.was_flagged = 0
        #: The newest runs that would be flagged, or were, or cannot be told.
        self.shown: deque[BacktestRun] = deque(maxlen=most_shown)
        #: By name: the rules that were tried, then those that were only recorded.
        self.by_rule = {
            rule.name: Count(rule.name, rule.metric, tried=True) for rule in rules
        }
        #: The first run that is kept, and the first and last one that are counted.
        self.oldest: Run | None = None
        self.first: Run | None = None
        self.last: Run | None = None
        self._replay = _Replay(self.rules)
        self._texts = [rule for rule in rules if rule.assertion is not None]
        #: Metrics and text fields that any run reported.
        self._reported: set[str] = set()
        self._fields: set[str] = set()

    def take(self, run: Run) -> None:
        """Judge *run* as well, the next one that came in."""
        if self.oldest is None:
            self.oldest = run
        tried = self._replay.take(run)
        if run.finished_at < self.since or run.is_retried:
            return
        self.first, self.last = self.first or run, run
        self.changes[tried.change] += 1
        if tried.change is Change.NOT_JUDGED:
            return
        self.was_flagged += run.outcome is Outcome.VIOLATED
        self._reported.update(measured(run.metrics, run.duration))
        if self._texts:
            self._note_fields(run)
        if tried.change is not Change.NEITHER:
            self.shown.append(tried)
        for violation in tried.violations:
            count = self.by_rule[violation.rule]
            count.would_flag += 1
            count.not_reported += violation.shown is None
        for rule in tried.unknown:
            self.by_rule[rule].unknown += 1
        for broken in run.violations:
            count = self.by_rule.setdefault(
                broken.rule, Count(broken.rule, broken.metric, tried=False)
            )
            count.was_flagged += 1

    @property
    def runs(self) -> int:
        """How many runs were looked at."""
        return self.changes.total()

    @property
    def judged(self) -> int:
        """How many of them said that they were ok."""
        return self.runs - self.changes[Change.NOT_JUDGED]

    @property
    def would_flag(self) -> int:
        """How many runs the rules would have flagged."""
        return self.changes[Change.NEWLY] + self.changes[Change.BOTH]

    @property
    def forgotten(self) -> int:
        """How many older runs are not kept any more that *since* asks for."""
        if self.oldest is None or self.oldest.finished_at < self.since:
            return 0
        return self.oldest.number - 1

    def warnings(self) -> Iterator[str]:
        """Yield what is odd about the rules: they may be misspelt."""
        for rule in self.rules if self.judged else ():
            reported = self._reported if rule.assertion is None else self._fields
            if rule.metric not in reported and not is_message(rule):
                yield self._never_reported(rule, reported)

    def gaps(self) -> Iterator[str]:
        """Yield what history cannot tell."""
        if self.forgotten:
            older = _counted(self.forgotten, "older run")
            yield f"history begins after {older} of this job: not kept any more"
        if unknown := self.changes[Change.UNKNOWN]:
            yield (
                f"{_counted(unknown, 'run')} cannot be told: what `previous` was then is "
                "not kept any more"
            )

    def _note_fields(self, run: Run) -> None:
        reported = Texts(run.message, run.metadata)
        if len(self._fields) < MOST_FIELDS:
            self._fields.update(reported.names())
        for rule in self._texts:
            if reported.get(rule.metric) is not None:
                self._fields.add(rule.metric)

    def _never_reported(self, rule: Rule, reported: Collection[str]) -> str:
        comes_to = "never flags" if rule.ignore_missing else "flags every run"
        if rule.metric == DURATION:
            return (
                f"{rule.name!r} {comes_to}: how long these runs took is not known; "
                "report duration_ms, or their start"
            )
        if rule.assertion is not None and rule.metric in self._reported:
            metric = f"{rule.metric!r} is a metric and no text"
            return f"{rule.name!r} {comes_to}: {metric}; compare it with a number"
        meant = near(rule.metric, reported)
        hint = f"; did you mean {meant!r}?" if meant else _offered(reported)
        return f"{rule.name!r} {comes_to}: {rule.metric!r} was never reported{hint}"


def backtest(
    rules: Sequence[Rule], runs: Iterable[Run], since: float = -math.inf
) -> Backtest:
    """Return what *rules* would have flagged of *runs*, the oldest of which is first."""
    tried = Backtest(rules, since)
    for run in runs:
        tried.take(run)
    return tried


class _Replay:
    """Judges runs in the order they came in, as `finishes.finish` does."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._relative = [
            rule for rule in rules if any(bound.of_previous for bound in rule.bounds)
        ]
        #: What the last ok run reported; None while that is not known.
        self._previous: Mapping[str, float] | None = None
        self._judged_at = -math.inf
        #: Runs that were given up: what their own end says of a failure is no news.
        self._given_up: set[tuple[str | None, int]] = set()

    def take(self, run: Run) -> BacktestRun:
        if run.number == 1:
            self._previous = _NOTHING
        said_ok, known = run.outcome in _SAID_OK, measured(run.metrics, run.duration)
        violations: tuple[Violation, ...] = ()
        unknown: tuple[str, ...] = ()
        if said_ok:
            violations = judge_all(
                self._rules,
                known,
                self._previous or _NOTHING,
                run.message,
                run.metadata,
            )
            unknown = tuple(self._untold(known, violations))
        # What cannot be told is as it was recorded.
        ok = said_ok and not violations and (not unknown or run.outcome is Outcome.OK)
        ignored = run.outcome in NEUTRAL or run.is_retried or self._is_given_up(run)
        if not (ignored or is_late(run, self._judged_at)):
            self._judged_at = run.finished_at
            self._previous = known if ok else self._previous
        return BacktestRun(run, _change(run, violations, unknown), violations, unknown)

    def _is_given_up(self, run: Run) -> bool:
        attempt = (run.run_id, run.attempt)
        if was_given_up(run):
            if run.run_id is not None:
                self._given_up.add(attempt)
            return True
        return attempt in self._given_up and run.outcome in FAILURES

    def _untold(
        self, known: Mapping[str, float], violations: Sequence[Violation]
    ) -> Iterator[str]:
        if self._previous is None:
            broken = {violation.rule for violation in violations}
            for rule in self._relative:
                if rule.metric in known and rule.name not in broken:
                    yield rule.name


def _change(
    run: Run, violations: Sequence[Violation], unknown: Sequence[str]
) -> Change:
    if run.outcome not in _SAID_OK:
        return Change.NOT_JUDGED
    if unknown and not violations:
        return Change.UNKNOWN
    if run.outcome is Outcome.VIOLATED:
        return Change.BOTH if violations else Change.NO_LONGER
    return Change.NEWLY if violations else Change.NEITHER


def _offered(names: Iterable[str]) -> str:
    few = sorted(set(names) - {DURATION})[:10]
    return f"; these runs reported {', '.join(few)}" if few else ""


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
