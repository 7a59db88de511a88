"""The outcome of an attempt, from its exit status and from what went wrong around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from afterrun_exporter.client.child import KILLED, TIMED_OUT, Ended

#: EX_IOERR of sysexits.h: the command exited with 0, and its output is lost.
OUTPUT_LOST: Final = 74
#: A command that is killed by SIGPIPE: the reader of its output has gone.
READER_GONE: Final = KILLED + 13

#: The largest status that a process can exit with.
MAX_STATUS: Final = 255

#: What a status other than 0 may mean, worst first, and the option for it.
EXITS: Final = {
    "partial": "--partial-exit",
    "skipped": "--skipped-exit",
    "ok": "--ok-exit",
}


class AttemptOutcome(NamedTuple):
    """The meaning of an attempt."""

    outcome: str
    #: The exit status of exec.
    status: int
    #: Whether that status, which is not 0, is no failure.
    mapped: bool = False
    #: Whether it may go better next time.
    again: bool = False


def judge(
    ended: Ended, exits: Mapping[int, str], *, lost: bool = False, unread: bool = False
) -> AttemptOutcome:
    """Return the meaning of *ended*, where *exits* gives statuses another one than fail.

    They hold for a status that the command itself exits with: a command that was
    killed, timed out or was never started has failed. So has one whose output is *lost*,
    because the reader of it has gone if *unread*.
    """
    if ended.timed_out:
        return AttemptOutcome("timeout", TIMED_OUT, again=True)
    if lost:
        # The same disk is as full in a minute, and half of the output is on it.
        return AttemptOutcome(
            "fail", ended.status or (READER_GONE if unread else OUTPUT_LOST)
        )
    if ended.status == 0:
        return AttemptOutcome("ok", 0)
    if ended.exited and ended.status in exits:
        return AttemptOutcome(exits[ended.status], ended.status, mapped=True)
    return AttemptOutcome("fail", ended.status, again=ended.again)


def exit_statuses(text: str) -> frozenset[int]:
    """Return the exit statuses that *text* lists, such as ``1,3,10-12``.

    Raises ValueError if it is no such list.
    """
    return frozenset(status for part in text.split(",") for status in _range(part))


def exit_outcomes(options: Mapping[str, Iterable[frozenset[int]]]) -> dict[int, str]:
    """Return the outcome of each exit status, from the lists for each outcome.

    Raises ValueError if an exit status would have two outcomes.
    """
    outcomes: dict[int, str] = {}
    for outcome, lists in options.items():
        for status in sorted(frozenset[int]().union(*lists)):
            other = outcomes.setdefault(status, outcome)
            if other != outcome:
                raise ValueError(
                    f"exit status {status} is in {EXITS[other]} and in "
                    f"{EXITS[outcome]}; leave it in one of them"
                )
    return outcomes


def explanation(verdict: AttemptOutcome) -> Sequence[str]:
    """Return a line for the message of a run whose exit status is no failure."""
    if not verdict.mapped:
        return ()
    option = EXITS[verdict.outcome]
    return (f"exit status {verdict.status} is {verdict.outcome} ({option})",)


def _range(text: str) -> range:
    first, dash, last = (part.strip() for part in text.partition("-"))
    ends = (first, last) if dash else (first, first)
    if not all(end.isascii() and end.isdigit() and len(end) < 10 for end in ends):
        raise ValueError(
            f"{text.strip()!r} is not an exit status; write them like 1,3 or 10-12"
        )
    low, high = int(ends[0]), int(ends[1])
    if low == 0:
        raise ValueError("exit status 0 is always ok; list others, from 1 to 255")
    if high > MAX_STATUS:
        raise ValueError(f"{high} is not an exit status: the largest is {MAX_STATUS}")
    if high < low:
        raise ValueError(f"{text.strip()!r} is empty; write it like {high}-{low}")
    return range(low, high + 1)
