"""Reading of YAML and JSON files of other systems: several documents, with positions.

Everything that makes YAML dangerous to read is handled by `config.document`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from afterrun_exporter.config import document
from afterrun_exporter.errors import Problem
from afterrun_exporter.importers.model import InputFile, Source, Unmapped
from afterrun_exporter.validation_messages import Path

#: Deeper than any manifest of Kubernetes, and within Python's limit of recursion.
MAX_DEPTH: Final = 100

#: The start of a document. It is one in every context, also within a block of text.
_MARKER = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_END = re.compile(r"^\.\.\.[ \t]*\r?$", re.MULTILINE)
#: A text without any value: comments, directives and markers.
_EMPTY = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n|%[^\n]*\n|---[ \t]*\r?\n)*\Z")
#: Templates of Helm, Jinja and others.
TEMPLATE = re.compile(r"\{\{|\{%")


@dataclass(slots=True)
class YamlDocument:
    """One document of a file."""

    file: str
    text: str
    #: The line of the file on which the text starts, counted from 0.
    offset: int
    data: object = None
    #: Errors in parts that were skipped; of an unreadable document, why it is.
    problems: tuple[Problem, ...] = ()
    is_readable: bool = True
    _lines: dict[Path, int] = field(default_factory=dict)

    def locate(self, paths: Collection[Path]) -> None:
        """Find the lines of *paths*."""
        try:
            parsed = document.read(self.text, paths, MAX_DEPTH)
        except document.NotYAMLError:
            return  # It is JSON that is not YAML.
        self._lines = parsed.lines

    def source(self, path: Path = ()) -> Source:
        """Return the place of *path*, or of the closest located section around it."""
        while path and path not in self._lines:
            path = path[:-1]
        if not path:
            return Source(self.file, self.offset + 1 + self._first_line())
        return Source(self.file, self.offset + self._lines[path])

    def reports(self) -> Iterator[Unmapped]:
        """Yield the errors in the document."""
        for one in self.problems:
            source = Source(self.file, self.offset + max(one.line, 1))
            yield Unmapped(source, one.path or "YAML", one.message)

    def template(self) -> tuple[Source, str] | None:
        """Return the place and the text of the first template in it."""
        match = TEMPLATE.search(self.text)
        if match is None:
            return None
        line = self.text.count("\n", 0, match.start())
        text = self.text.split("\n", line + 1)[line].strip()
        return Source(self.file, self.offset + line + 1), text

    def _first_line(self) -> int:
        """Return the line of the first value, counted from 0."""
        for number, line in enumerate(self.text.split("\n")):
            text = line.strip()
            if text and not text.startswith(("#", "---", "%")):
                return number
        return 0


def documents(file: InputFile) -> Iterator[YamlDocument]:
    """Yield the documents of *file* that are not empty."""
    text = file.text.removeprefix("\ufeff")
    starts = [0, *(match.start() for match in _MARKER.finditer(text))]
    line = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        if not _EMPTY.match(part + "\n"):
            yield _parsed(YamlDocument(file.name, _END.sub("", part), line))
        line += part.count("\n")


def _parsed(unread: YamlDocument) -> YamlDocument:
    try:
        parsed = document.read(unread.text, (), MAX_DEPTH)
    except document.NotYAMLError as error:
        if not _is_json(unread):
            unread.problems, unread.is_readable = error.problems, False
        return unread
    unread.data, unread.problems = parsed.data, parsed.problems
    return unread


def _is_json(unread: YamlDocument) -> bool:
    """Read JSON that is not YAML, such as with characters written as surrogates."""
    if unread.text.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        unread.data = json.loads(unread.text)
    except (ValueError, RecursionError):
        return False
    return True


def paths_of(data: object, depth: int, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of all values in *data*, at most *depth* levels deep."""
    if not depth:
        return
    if isinstance(data, dict):
        items: Collection[tuple[str | int, object]] = data.items()
    else:
        items = list(enumerate(data)) if isinstance(data, list) else []
    for key, value in items:
        yield (*path, key)
        yield from paths_of(value, depth - 1, (*path, key))
