"""Regular expressions that Python and Alertmanager (RE2) read alike."""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Final

from pydantic import AfterValidator

from afterrun_exporter.config.words import quote

#: What means the same in both after a backslash, punctuation aside.
_ESCAPES: Final = frozenset("dDwWsSbBAtnrfv")
_MOST_REPEATS: Final = 1000

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NOT_PLAIN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
# Lookaround, conditions, atomic groups, most flags; possessive repeats; {,3}.
_PYTHONS_OWN = re.compile(r"\(\?(?!:|P<|i\)|i:)|[*+?}]\+|\{,")
_REPEATS = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def _re2(text: str) -> str:
    try:
        # What Python only warns of it may read in another way tomorrow.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(text)
    except (re.error, FutureWarning, DeprecationWarning, OverflowError) as error:
        raise ValueError(
            f"{quote(text)} is not a regular expression: {error}"
        ) from None
    escaped = {mark for mark in _ESCAPED.findall(text) if mark.isalnum()}
    plain = _NOT_PLAIN.sub("x", text)
    many = any(
        int(number) > _MOST_REPEATS
        for repeat in _REPEATS.findall(plain)
        for number in filter(None, repeat)
    )
    if not text.isprintable() or escaped - _ESCAPES or many:
        raise _not_in_alertmanager(text)
    if _PYTHONS_OWN.search(plain):
        raise _not_in_alertmanager(text)
    return text


def _not_in_alertmanager(text: str) -> ValueError:
    return ValueError(
        f"{quote(text)} has something that Alertmanager's regular expressions do not "
        "have, such as a lookahead or a backreference"
    )


Re2Pattern = Annotated[str, AfterValidator(_re2)]
