"""Meanings of exit codes."""

from __future__ import annotations

from typing import Final

#: Codes with a meaning of their own, in shells and in timeout(1).
_MEANINGS: Final = {
    1: "general error",
    2: "wrong usage, or an error of the program's own",
    124: "timeout: stopped at its time limit",
    125: "timeout, env or docker itself failed",
    126: "found, but not executable",
    127: "command not found",
}

#: Names of signals by number, as Linux has them.
_SIGNALS: Final = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
}

#: Usual reasons of a signal.
_REASONS: Final = {
    1: "its terminal or session ended",
    2: "interrupted",
    6: "it aborted itself",
    9: "often out of memory",
    11: "it crashed",
    13: "the reader of its output ended",
    15: "asked to stop",
}

#: A shell adds this to the number of the signal that ended a program.
_OF_SIGNALS: Final = 128


def meaning(code: int) -> str:
    """Return the meaning of the exit *code* in a few words; "" if it has none."""
    if code in _MEANINGS:
        return _MEANINGS[code]
    # Python reports a signal as a negative number.
    number = -code if code < 0 else code - _OF_SIGNALS
    if number not in _SIGNALS:
        return ""
    reason = f", {_REASONS[number]}" if number in _REASONS else ""
    return f"ended by {_SIGNALS[number]}{reason}"


def with_meaning(code: int) -> str:
    """Return the exit *code* followed by its meaning, if it has one."""
    words = meaning(code)
    return f"{code} ({words})" if words else str(code)
