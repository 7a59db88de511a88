"""Regular expressions of operators, with RE2: matching takes linear time.

Python's own engine backtracks: `([a-z]+-?)+` takes it hours for a name of 41
characters. Prometheus and Alertmanager use RE2 as well.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import re2

#: Syntax of Python that RE2 lacks, or that both interpret differently, and the
#: replacement.
_PYTHON_ONLY: Final = (
    (
        re.compile(r"\(\?<?[=!]"),
        "RE2 has no lookahead or lookbehind: write out what to match, as in ^(etl|sync)-",
    ),
    (
        re.compile(r"\\[1-9]|\(\?P[=>]"),
        "RE2 has no backreferences: write out what to match, as in ^(a-a|b-b)$",
    ),
    (
        re.compile(r"\(\?>|[*+?}]\+"),
        "RE2 has no atomic groups and possessive repeats: write a+ for a++",
    ),
    (re.compile(r"\(\?\(\w"), "RE2 has no conditions: write out what to match"),
    (re.compile(r"\(\?#"), "RE2 has no comments"),
    (re.compile(r"\(\?[a-zA-Z-]*[aLux]"), "RE2 has no flags but i, m, s and U"),
    (re.compile(r"\\Z"), r"RE2 has no \Z: write $"),
    (re.compile(r"\\C"), r"Alertmanager has no \C: write ."),
    (re.compile(r"\(\?<\w"), "Alertmanager has no (?<name>...): write (?P<name>...)"),
    (re.compile(r"\{,"), "RE2 repeats nothing by {,3}: write {0,3}"),
)
_REPEATS: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_MAX_REPEATS: Final = 1000

#: A class, or an escaped character that is not in `_PYTHONS_OWN`.
_NO_SYNTAX: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]|\\[^1-9ZC]", re.DOTALL)

SYNTAX: Final = "see https://github.com/google/re2/wiki/Syntax"


class Pattern:
    """A regular expression that takes linear time."""

    __slots__ = ("_compiled",)

    def __init__(self, text: str) -> None:
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        self._compiled = re2.compile(text, options)

    def search(self, text: str) -> bool:
        """Return True if the expression matches somewhere in *text*."""
        return self._compiled.search(text.encode()) is not None

    def fullmatch(self, text: str) -> bool:
        """Return True if the expression matches all of *text*."""
        return self._compiled.fullmatch(text.encode()) is not None


@lru_cache(maxsize=1024)
def compiled(text: str) -> Pattern:
    """Return the compiled expression *text*; raise ValueError with the reason if invalid."""
    plain = _NO_SYNTAX.sub("x", text)
    for part, hint in _PYTHON_ONLY:
        if part.search(plain) is not None:
            raise ValueError(hint)
    counts = (count for repeat in _REPEATS.findall(plain) for count in repeat)
    if any(int(count) > _MAX_REPEATS for count in counts if count):
        raise ValueError(f"RE2 repeats {_MAX_REPEATS} times at most")
    try:
        return Pattern(text)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0]
        if isinstance(reason, bytes):
            reason = reason.decode("utf-8", "replace")
        raise ValueError(f"{reason}; {SYNTAX}") from None
