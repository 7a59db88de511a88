"""Suggestions for misspelt words: a close match, or none.

A wrong hint is worse than none. A match is close if a typing error turns one into the
other: at most two letters differ, or the word is a prefix. It is rejected if it may
mean the opposite (`min_runtime` and `max_runtime`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

#: Longer words are not compared.
MAX_WORD: Final = 200
#: Shorter words match too many others.
_SHORTEST: Final = 3
#: The length of words up to which one wrong letter is allowed, not two.
_SHORT: Final = 5
#: The minimum length of a prefix.
_STEM: Final = 3
#: The number of close matches to compare letter by letter.
_FEW: Final = 5

_PARTS = re.compile(r"[^a-z0-9]+")
_ENDING = re.compile(r"(?:ing|ed)$")
#: Prefixes that turn a word into its opposite.
_NEGATIONS: Final = ("un", "in", "im", "dis", "de", "non", "no", "not", "anti")
_OPPOSITES: Final = tuple(
    frozenset(pair.split())
    for pair in (
        "min max", "start end", "start stop", "started stopped", "begin end",
        "before after", "above below", "over under", "on off", "true false", "yes no",
        "first last", "earlier later", "early late", "failure success", "fail ok",
        "failed succeeded", "accept reject", "accept except", "allow deny",
        "include exclude", "included excluded", "open close", "opened closed",
        "enable disable", "enabled disabled", "slower faster", "slow fast",
        "pause resume", "mute unmute", "add remove", "since until", "from to",
        "critical noncritical", "up down", "import export", "ascending descending",
        "more less", "most least", "all none", "any none",
    )
)  # fmt: skip


def near(word: str, words: Iterable[str]) -> str | None:
    """Return the one of *words* that the misspelt *word* must mean; None if unsure."""
    if not word or len(word) > MAX_WORD:
        return None
    names = sorted(words)
    longer = [name for name in names if _begins(word, name)]
    letters = _letters(word)
    candidates = [
        *(name for name in names if _same(letters, _letters(name))),
        # If two begin like it, neither is more likely.
        *(longer if len(longer) == 1 else ()),
        *(one for one in get_close_matches(word, names, _FEW) if _is_slip(word, one)),
    ]
    return next((one for one in candidates if not _is_opposite(word, one)), None)


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the part of a message that suggests a correction of *word*, or ""."""
    suggestion = near(word, names)
    return f"; did you mean {suggestion!r}?" if suggestion else ""


def unknown_value(what: str, value: str, choices: Sequence[str]) -> str:
    """Return the message that *value* is none of the *choices* for *what*."""
    hint = did_you_mean(value, choices) or f": use one of {', '.join(choices)}"
    return f"unknown {what} {value[:60]!r}{hint}"


def _is_slip(word: str, name: str) -> bool:
    shorter = min(len(word), len(name))
    limit = 1 if shorter <= _SHORT else 2
    return shorter >= _SHORTEST and _distance(word, name, limit) <= limit


def _same(word: tuple[str, str], name: tuple[str, str]) -> bool:
    if word[0] == name[0]:
        return word[0] != ""
    # failed and failing
    return word[1] == name[1] and len(word[1]) > _STEM


@lru_cache(maxsize=1024)
def _letters(text: str) -> tuple[str, str]:
    """Return the letters and digits of *text*, and the same without its ending."""
    letters = _PARTS.sub("", text.lower())
    return letters, _ENDING.sub("", letters)


def _begins(word: str, name: str) -> bool:
    return len(word) >= _STEM and name.lower().startswith(word.lower())


def _is_opposite(word: str, name: str) -> bool:
    ones, others = _words(word.lower()), _words(name.lower())
    for pair in _OPPOSITES:
        if len(match := pair & ones) == 1 and (pair - match) & (others - ones):
            return True
    return any(
        _negates(one, other) or _negates(other, one)
        for one in ones - others
        for other in others - ones
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(filter(None, _PARTS.split(text)))


def _negates(one: str, other: str) -> bool:
    return any(one == f"{negation}{other}" for negation in _NEGATIONS)


def _distance(one: str, other: str, limit: int) -> int:
    """Return the number of typing errors between two words; or above *limit*."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row: list[int] = [*range(len(other) + 1)]
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, other_letter in enumerate(other, 1):
            cost = min(
                before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other_letter)
            )
            swapped = (
                i > 1
                and j > 1
                and letter == other[j - 2]
                and one[i - 2] == other_letter
            )
            row.append(min(cost, last[j - 2] + 1) if swapped else cost)
    return row[-1]
