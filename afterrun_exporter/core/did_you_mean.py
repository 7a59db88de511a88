"""What a misspelt word may mean: a close match, or nothing.

A wrong hint is worse than none. A match is close if a slip of the keyboard makes one
of the other: at most two letters are different, or it is the beginning of the word. It
is none if it may mean the opposite (`min_runtime` and `max_runtime`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

#: Longer words are not compared.
MAX_WORD: Final = 200
#: Shorter words are any other's slip.
_SHORTEST: Final = 3
#: Up to how many characters a word differs from its match by one letter at most.
_SHORT: Final = 5
#: Characters of a beginning that says which word it is of.
_STEM: Final = 3
#: Close matches that are compared letter by letter.
_FEW: Final = 5

_PARTS = re.compile(r"[^a-z0-9]+")
_ENDING = re.compile(r"(?:ing|ed)$")
#: By which a word becomes its opposite.
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


def near(word: str, known: Iterable[str]) -> str | None:
    """Return which of *known* the misspelt *word* must mean; None if that is not sure."""
    if not word or len(word) > MAX_WORD:
        return None
    names = sorted(known)
    longer = [name for name in names if _begins(word, name)]
    candidates = [
        *(name for name in names if _same(word, name)),
        # Of two that begin like it neither is meant more than the other.
        *(longer if len(longer) == 1 else ()),
        *(one for one in get_close_matches(word, names, _FEW) if _is_slip(word, one)),
    ]
    return next((one for one in candidates if not _is_opposite(word, one)), None)


def _is_slip(word: str, name: str) -> bool:
    shorter = min(len(word), len(name))
    limit = 1 if shorter <= _SHORT else 2
    return shorter >= _SHORTEST and _distance(word, name, limit) <= limit


def _same(word: str, name: str) -> bool:
    one, other = (_PARTS.sub("", text.lower()) for text in (word, name))
    if one == other:
        return one != ""
    # failed and failing
    stem, other_stem = _ENDING.sub("", one), _ENDING.sub("", other)
    return stem == other_stem and len(stem) > _STEM


def _begins(word: str, name: str) -> bool:
    return len(word) >= _STEM and name.lower().startswith(word.lower())


def _is_opposite(word: str, name: str) -> bool:
    ones, others = _words(word.lower()), _words(name.lower())
    for pair in _OPPOSITES:
        if len(found := pair & ones) == 1 and (pair - found) & (others - ones):
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
    """Return how many letters are wrong, missing, too many or swapped; or above *limit*."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row: list[int] = [*range(len(other) + 1)]
    for i, left in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, right in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            swapped = i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right
            row.append(min(cost, last[j - 2] + 1) if swapped else cost)
    return row[-1]
