"""Parsing and evaluation of Alertmanager's matchers, in both syntaxes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from afterrun_exporter.core.patterns import compiled

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_MATCHER: Final = re.compile(
    rf"""\s*(?P<label>{_STRING}|[^\s{{}}!=~,\\"'`]+)
    \s*(?P<op>=~|!~|!=|=)
    \s*(?P<value>{_STRING}|[^,"]*?)
    \s*(?:,|$)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r'\\(["\\n])')
#: Parts of regular expressions, with text that they match.
_SAMPLES: Final = (
    (re.compile(r"\(\?(?:[a-z]+\)|[a-z]*:|P<\w+>)|[()^$]"), ""),
    (re.compile(r"\.\*\??"), ""),
    (re.compile(r"\.\+\??|\\[wS]\+?"), "x"),
    (re.compile(r"\\d[+*]?"), "1"),
    (re.compile(r"\[([^\]^\\])[^\]]*\][+*?]?"), r"\1"),
    (re.compile(r"\\(.)"), r"\1"),
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label; a missing label has the value ""."""

    label: str
    op: str
    value: str

    def matches(self, value: str) -> bool:
        """Return True if *value* matches.

        A regular expression that only Alertmanager can compile matches everything.
        """
        if "~" not in self.op:
            return (value == self.value) is (self.op == "=")
        try:
            pattern = compiled(self.value)
        except ValueError:
            return True
        return pattern.fullmatch(value) is (self.op == "=~")

    def samples(self) -> Iterator[str]:
        """Yield example values, which it may match or reject."""
        if "~" not in self.op:
            yield self.value
            return
        for text in re.split(r"(?<!\\)\|", self.value):
            sample = text
            for pattern, replacement in _SAMPLES:
                sample = pattern.sub(replacement, sample)
            yield sample

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.label} {self.op} "{escaped}"'


def side_of(rule: Mapping[str, Any], side: str) -> list[Matcher]:
    """Return the matchers of *side*, source or target, of an entry of ``inhibit_rules``.

    All syntaxes are combined. Raises ValueError for matchers that Alertmanager rejects.
    """
    return [
        *(Matcher(key, "=", value) for key, value in _pairs(rule, f"{side}_match")),
        *(Matcher(key, "=~", value) for key, value in _pairs(rule, f"{side}_match_re")),
        *(
            matcher
            for text in strings(rule, f"{side}_matchers")
            for matcher in parse(text)
        ),
    ]


def strings(rule: Mapping[str, Any], key: str) -> Sequence[str]:
    """Return the list of texts at *key*; raise ValueError if it is not a list."""
    entries = rule.get(key)
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise ValueError(f"{key} is not a list")
    return [_text(entry) for entry in entries]


def parse(text: str) -> list[Matcher]:
    """Return the comma-separated matchers in *text*.

    Raises ValueError if it is not valid.
    """
    rest = text.strip()
    if rest.startswith("{"):
        rest = rest[1:].removesuffix("}")
    rest = rest.strip().removesuffix(",")
    result, at = [], 0
    while at < len(rest):
        match = _MATCHER.match(rest, at)
        if match is None:
            raise ValueError(f"{text!r} is not a matcher")
        label, op, value = match["label"], match["op"], match["value"]
        result.append(Matcher(_unquoted(label), op, _unquoted(value)))
        at = match.end()
    return result


def _pairs(rule: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    pairs = rule.get(key)
    if pairs is None:
        return
    if not isinstance(pairs, Mapping):
        raise ValueError(f"{key} is not keys and values")
    for label, value in pairs.items():
        yield _text(label), _text(value)


def _text(value: object) -> str:
    """Return a YAML scalar as text, as Alertmanager reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, Mapping | list):
        if value is None:
            return ""
        raise ValueError("is not text")
    return str(value)


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], text[1:-1])
