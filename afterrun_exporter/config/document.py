"""Parsing of YAML text to plain data, with the line of each value.

It reads events instead of YAML nodes, so that a file of 100,000 jobs is not in memory
twice. Plain scalars follow YAML 1.2, without the traps of 1.1: ``yes``, ``on``,
``22:30`` and ``2026-11-22`` are text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import yaml

from afterrun_exporter.errors import Problem
from afterrun_exporter.validation_messages import Path, quote, show

# The C parser is ten times faster, but not every build of PyYAML has it.
LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH: Final = 20
#: The number of values that aliases may expand to, plus one for each character of the
#: file, so that a small file cannot become a large one.
MAX_ALIASED: Final = 100_000

_MERGE = "<<"
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
# Longer numbers are text.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{0,18}(?:[eE][-+]?[0-9]{1,2})?")
_TEXT_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:str"})
_SECTION_TAGS: Final = frozenset(
    {"!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
)


#: Characters of a rule with a meaning in YAML, and the way to quote them.
_RULE = re.compile(
    r'["}]\s*(?:[<>=!]=?|!?contains\b|between\b)|(?:[<>=!]=?|contains)\s*"'
)
_RULE_IN_YAML: Final = (
    "put a rule with double quotes or braces into single quotes as a whole, such as "
    "'\"rows processed\" > 0'"
)


class NotYAMLError(Exception):
    """The text is not valid YAML; the error has all problems so far."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(*problems)
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed YAML: dicts, lists, str, int, float, bool and None."""

    data: object
    #: Problems so far; the data has the valid parts.
    problems: tuple[Problem, ...]
    #: The lines of the requested paths that are in the text.
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of *path*, or of the closest section around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(
    text: str, paths: Collection[Path] = (), max_depth: int = MAX_DEPTH
) -> Document:
    """Return the parsed *text*, with the lines of *paths*.

    Lines are only searched for on request: a file without problems needs none.
    Raises NotYAMLError if the text is not one YAML document.
    """
    prefixes = {path[:end] for path in paths for end in range(len(path) + 1)}
    return _Reader(text, prefixes, max_depth).document()


class _Refused(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, line: int, path: Path, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, show(path), message)


class _Reader:
    """One pass over the events of a text."""

    def __init__(self, text: str, paths: Collection[Path], max_depth: int) -> None:
        self._text = text
        self._max_depth = max_depth
        self._paths = paths
        self._lines: dict[Path, int] = {}
        self._problems: list[Problem] = []
        #: The value of each anchor, and its number of nested values.
        self._anchors: dict[str, tuple[object, int]] = {}
        self._values = 0
        self._max_values = MAX_ALIASED + len(text)

    def document(self) -> Document:
        try:
            loader = LOADER(self._text)
            self._next = loader.get_event
            data = self._whole()
        except _Refused as refused:
            self._problems.append(refused.problem)
            raise NotYAMLError(tuple(self._problems)) from None
        except (yaml.YAMLError, UnicodeEncodeError) as error:
            self._problems.append(_syntax_problem(self._text, error))
            raise NotYAMLError(tuple(self._problems)) from None
        return Document(data, tuple(self._problems), self._lines)

    def _whole(self) -> object:
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        data = self._value(self._next(), ())
        self._next()  # the end of the document
        if not isinstance(after := self._next(), yaml.StreamEndEvent):
            raise _Refused(
                _line(after), (), "has a second YAML document; write only one"
            )
        return data

    def _value(self, event: Any, path: Path) -> object:
        before = self._values
        self._count(1, event, path)
        value: object
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        else:
            if len(path) >= self._max_depth:
                message = f"nested more than {self._max_depth} levels deep"
                raise _Refused(_line(event), (), message)
            if event.tag is not None and event.tag not in _SECTION_TAGS:
                self._refuse_tag(event, path)
            if isinstance(event, yaml.MappingStartEvent):
                value = self._mapping(path)
            else:
                value = self._sequence(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._values - before)
        return value

    def _mapping(self, path: Path) -> dict[str, object]:
        result: dict[str, object] = {}
        first: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, line = self._key(event, path), _line(event)
            inner = (*path, key)
            if self._paths and inner in self._paths:
                self._lines.setdefault(inner, line)
            value = self._value(self._next(), inner)
            if key in first:
                message = f"duplicate key, first on line {first[key]}"
                self._problems.append(Problem(line, show(inner), message))
                continue
            first[key] = line
            result[key] = value
        if _MERGE in result:
            return _merged(result, first[_MERGE], path)
        return result

    def _key(self, event: Any, path: Path) -> str:
        if isinstance(event, yaml.ScalarEvent):
            if event.value == "" and event.implicit[0]:
                raise _Refused(_line(event), path, "a key is missing before ':'")
            # Keys are names, never numbers or booleans: 404: is a job "404".
            return sys.intern(event.value)
        raise _Refused(
            _line(event), path, "a key is plain text, not a list, mapping or alias"
        )

    def _sequence(self, path: Path) -> list[object]:
        result: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            inner = (*path, len(result))
            if self._paths and inner in self._paths:
                self._lines.setdefault(inner, _line(event))
            result.append(self._value(event, inner))
        return result

    def _scalar(self, event: Any, path: Path) -> object:
        text: str = event.value
        if event.tag is not None:
            if event.tag not in _TEXT_TAGS:
                self._refuse_tag(event, path)
            return text
        if not event.implicit[0]:  # quoted, or a block
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text

    def _alias(self, event: Any, path: Path) -> object:
        if event.anchor not in self._anchors:
            # Not quoted, because it may be a password; neither are tags.
            message = (
                "the alias has no anchor before it: put a value that "
                "begins with * in quotes"
            )
            raise _Refused(_line(event), path, message)
        value, values = self._anchors[event.anchor]
        self._count(values - 1, event, path)
        return value

    def _count(self, values: int, event: Any, path: Path) -> None:
        self._values += values
        if self._values > self._max_values:
            raise _Refused(
                _line(event), path, "aliases expand to too many values: use fewer"
            )

    def _refuse_tag(self, event: Any, path: Path) -> None:
        message = (
            "tags are not supported: remove the tag, or quote the value if it begins "
            "with !"
        )
        self._problems.append(Problem(_line(event), show(path), message))


def _merged(result: dict[str, object], line: int, path: Path) -> dict[str, object]:
    """Return *result* with ``<<: *base`` expanded; its own keys win."""
    merge = result.pop(_MERGE)
    for base in merge if isinstance(merge, list) else [merge]:
        if not isinstance(base, dict):
            raise _Refused(
                line, (*path, _MERGE), f"can merge mappings only, not {quote(base)}"
            )
        result = {**base, **result}
    return result


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _syntax_problem(text: str, error: Exception) -> Problem:
    """Return the problem for an error of the parser, with its line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line = error.problem_mark.line + 1
        lines = text.split("\n", line)
        if line <= len(lines) and _RULE.search(lines[line - 1]):
            what = f"{error.problem or 'cannot be read'}: {_RULE_IN_YAML}"
            return Problem(line, "", f"not YAML: {what}")
        return Problem(line, "", f"not YAML: {_in_context(error, line)}")
    if bad := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        return Problem(line, "", f"not YAML: character U+{ord(bad[0]):04X}")
    return Problem(1, "", f"not YAML: {' '.join(str(error).split())}")


def _in_context(error: yaml.MarkedYAMLError, line: int) -> str:
    """Return the message of a parser error with a hint and the line where it began."""
    what, context = error.problem or "", error.context or ""
    if "cannot start any token" in what:
        return f"{what}: quote a text that starts with @, and indent by spaces"
    if "mapping values are not allowed" in what:
        return f"{what}: quote a text with ': ' in it, or check the indentation"
    if "an alias" in context:
        return f"{what} {context}: quote a text that starts with *"
    start = error.context_mark.line + 1 if error.context_mark else line
    return f"{what} {context} from line {start}" if start < line else what
