"""The outcome of an attempt, from its exit status and from errors around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from afterrun_exporter.client.child import KILLED, TIMED_OUT, ProcessEnd

#: EX_IOERR of sysexits.h: the command exited with 0, but its output was lost.
OUTPUT_LOST: Final = 74
#: Status of a command killed by SIGPIPE: the reader of its output has gone.
READER_GONE: Final = KILLED + 13

#: The largest status that a process can exit with.
MAX_STATUS: Final = 255

#: Outcomes of a status other than 0, worst first, and the option for each.
EXITS: Final = {
    "partial": "--partial-exit",
    "skipped": "--skipped-exit",
    "ok": "--ok-exit",
}


class AttemptOutcome(NamedTuple):
    """The outcome of an attempt, and the exit status to pass on."""

    outcome: str
    #: The exit status of exec.
    status: int
    #: True if an option gives the status, which is not 0, an outcome other than fail.
    mapped: bool = False
    #: True if another attempt may succeed.
    again: bool = False


def attempt_outcome(
    end: ProcessEnd,
    exits: Mapping[int, str],
    *,
    output_lost: bool = False,
    reader_gone: bool = False,
) -> AttemptOutcome:
    """Return the outcome of a process.

    *exits* gives outcomes to statuses with which the command itself exits: a command
    that was killed, timed out or was never started has failed. It has also failed if
    its output is lost, because the reader of it has gone if *reader_gone*.
    """
    if end.timed_out:
        return AttemptOutcome("timeout", TIMED_OUT, again=True)
    if output_lost:
        # A full disk is still full in a minute, and half of the output is on it.
        return AttemptOutcome(
            "fail", end.status or (READER_GONE if reader_gone else OUTPUT_LOST)
        )
    if end.status == 0:
        return AttemptOutcome("ok", 0)
    if end.exited and end.status in exits:
        return AttemptOutcome(exits[end.status], end.status, mapped=True)
    return AttemptOutcome("fail", end.status, again=end.again)


def exit_statuses(text: str) -> frozenset[int]:
    """Return the exit statuses that *text* lists, such as ``1,3,10-12``.

    Raises ValueError if it is malformed.
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


def explanation(result: AttemptOutcome) -> Sequence[str]:
    """Return a line for the message of a run whose status has an outcome by option."""
    if not result.mapped:
        return ()
    option = EXITS[result.outcome]
    return (f"exit status {result.status} is {result.outcome} ({option})",)


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
