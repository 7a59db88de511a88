"""Insertion of imported jobs into the text of an existing afterrun.yml.

Lines are only added. A line is changed only where a list or mapping is written on it,
such as ``jobs: {}`` or ``labels: [team]``. The result is parsed again: anything but the
insertions that differs is an error, and nothing is written.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from afterrun_exporter.config import document
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers import yaml_text
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    ImportedPolicy,
    Source,
    Unmapped,
)
from afterrun_exporter.importers.places import Place, locate
from afterrun_exporter.importers.writing import (
    comments,
    job_lines,
    policy_lines,
    render,
    sections,
)
from afterrun_exporter.validation_messages import show

_NOTHING: Final = frozenset({"", "~", "null", "Null", "NULL"})
_EMPTY_FLOW = re.compile(r"\{[ \t]*\}|\[[ \t]*\]")
_BREAK = re.compile(r"\r\n|\n|\r")
_ONLY_COMMENTS = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r|\Z))*")
_UNSAFE: Final = (
    "cannot be extended without a change to the rest of the file: write the file in "
    "block style, with a line break at its end, or add the jobs by hand"
)
#: Lists to which new items are added.
_LISTS: Final = frozenset({"labels", "policies"})

#: A function that returns the lines of an entry at an indent, or inside a flow
#: collection if the indent is None.
_Entry = Callable[[int | None], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of an insertion."""

    text: str
    #: Names of jobs, and paths of other values.
    additions: tuple[str, ...]
    #: Existing values that differ from the imported ones, and are unchanged.
    conflicts: tuple[Unmapped, ...]


def is_blank(text: str) -> bool:
    """Return True if *text* has nothing but comments."""
    return _ONLY_COMMENTS.fullmatch(text) is not None


def merge(text: str, imported: Imported, file: str = "afterrun.yml") -> Merged:
    """Return *text* of *file* with everything of *imported* that is not in it yet.

    Raises ConfigError if *text* is not YAML, or if it cannot be extended safely.
    """
    try:
        parsed = document.read(text)
    except document.NotYAMLError as error:
        raise ConfigError(file, error.problems) from None
    data = {} if parsed.data is None else parsed.data
    if parsed.problems or not isinstance(data, dict):
        wrong = parsed.problems or [Problem(1, "", "expected keys and values")]
        raise ConfigError(file, wrong)
    for blank in ("\n", ""):
        merger = _Merger(text, data, file, blank)
        merger.add(imported)
        merged = merger.text()
        if _data(merged) == merger.expected:
            return Merged(merged, tuple(merger.additions), tuple(merger.conflicts))
    raise ConfigError(file, [Problem(0, "", _UNSAFE)])


def _data(text: str) -> object:
    try:
        parsed = document.read(text)
    except document.NotYAMLError:
        return None
    return None if parsed.problems else parsed.data or {}


@dataclass(slots=True)
class _Merger:
    source: str
    data: dict[str, Any]
    file: str
    #: A line break for an empty line before an entry, or "".
    blank: str
    additions: list[str] = field(default_factory=list)
    conflicts: list[Unmapped] = field(default_factory=list)
    #: The data of the new text.
    expected: dict[str, Any] = field(init=False)
    _root: Place | None = field(init=False)
    #: The paths of everything that is added.
    _paths: set[tuple[str, ...]] = field(default_factory=set)
    #: The lines of these paths, once one is needed.
    _lines: document.Document | None = None
    #: Positions, the text that replaces what is between them, and True if that must
    #: start on a line of its own.
    _edits: list[tuple[int, int, str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.expected = copy.deepcopy(self.data)
        self._root = locate(self.source)

    def text(self) -> str:
        """Return the new text, with the line breaks of the old one."""
        first = _BREAK.search(self.source)
        newline = first[0] if first else "\n"
        result, start = "", 0
        for begin, end, new, on_own_line in sorted(
            self._edits, key=lambda edit: edit[:2]
        ):
            result += self.source[start:begin]
            if on_own_line and result and not result.endswith(("\n", "\r")):
                result += newline
            result += new.replace("\n", newline)
            start = end
        return result + self.source[start:]

    def add(self, imported: Imported) -> None:
        self._paths = {("jobs", job.name) for job in imported.jobs}
        self._paths.update(_paths(sections(imported), ()))
        # As it is parsed, so that values can be compared.
        new: Any = document.read(render(imported)).data
        entries: list[_Entry] = []
        for key in sections(imported):
            entries += self._section((key,), new[key])
        if imported.policies:
            items = zip(new["policies"], imported.policies, strict=True)
            entries += self._list(
                ("policies",), [(item, _policy(one)) for item, one in items]
            )
        entries += self._jobs(imported, new["jobs"])
        if entries:
            self._insert((), entries)

    def _section(self, path: tuple[str, ...], value: Any) -> Iterator[_Entry]:
        """Add *value*; yield an entry if the mapping around it does not have it yet."""
        existing, parent = _at(self.data, path), _at(self.expected, path[:-1])
        if existing is None and self._place(path) is not None:
            # A key without a value.
            existing = type(value)()
            parent[path[-1]] = type(value)()
        if existing is None:
            parent[path[-1]] = value
            self.additions.append(show(path))
            yield _pair(path[-1], value)
        elif isinstance(existing, dict) and isinstance(value, dict):
            inner = (self._section((*path, key), one) for key, one in value.items())
            if entries := list(chain.from_iterable(inner)):
                self._insert(path, entries)
        elif isinstance(existing, list) and path[0] in _LISTS:
            yield from self._list(path, [(one, _item(one)) for one in value])
        elif existing != value:
            line = self._line(path)
            self.conflicts.append(
                Unmapped(
                    Source(self.file, line),
                    show(path),
                    f"is left as it is; the imported value is {yaml_text.inline(value)}",
                )
            )

    def _list(
        self, path: tuple[str, ...], items: Sequence[tuple[Any, _Entry]]
    ) -> Iterator[_Entry]:
        existing = _at(self.data, path)
        present = existing if isinstance(existing, list) else []
        new = [(one, entry) for one, entry in items if one not in present]
        if not new:
            return
        self.additions += [
            show((*path, number)) for number, _ in enumerate(new, len(present))
        ]
        _at(self.expected, path[:-1])[path[-1]] = [*present, *(one for one, _ in new)]
        yield from self._insert_or_yield(path, [entry for _, entry in new])

    def _jobs(self, imported: Imported, new: Mapping[str, Any]) -> Iterator[_Entry]:
        existing = self.data.get("jobs") or {}
        entries: list[_Entry] = []
        for job in imported.jobs:
            if job.name in existing:
                self._compare(job, existing[job.name] or {}, new[job.name])
                continue
            entries.append(_job(job, self.blank if existing or entries else ""))
            self.additions.append(job.name)
        if entries:
            jobs = {name: one for name, one in new.items() if name not in existing}
            self.expected["jobs"] = {**existing, **jobs}
            yield from self._insert_or_yield(("jobs",), entries)

    def _insert_or_yield(
        self, path: tuple[str, ...], entries: Sequence[_Entry]
    ) -> Iterator[_Entry]:
        """Add *entries* to the value at *path*, or yield it as a new entry."""
        if self._place(path) is not None:
            self._insert(path, entries)
        else:
            yield _collection(path[-1], entries)

    def _compare(self, job: ImportedJob, existing: Any, new: Mapping[str, Any]) -> None:
        defaults = self.data.get("defaults")
        current = {**(defaults if isinstance(defaults, dict) else {}), **existing}
        differences = [
            f"{key} is {_value(current, key)} there, {_value(new, key)} here"
            for key in new
            if current.get(key) != new[key]
        ]
        if differences:
            line = self._line(("jobs", job.name))
            reason = f"is left as in {self.file}:{line}: {'; '.join(differences)}"
            self.conflicts.append(Unmapped(job.source, job.name, reason))

    def _line(self, path: tuple[str, ...]) -> int:
        """Return the line of *path*; the file is searched once for all of them."""
        if self._lines is None:
            self._lines = document.read(self.source, self._paths)
        return self._lines.line(path)

    def _place(self, path: Sequence[str]) -> Place | None:
        place = self._root
        for key in path:
            place = place.values.get(key) if place is not None else None
        return place

    def _insert(self, path: tuple[str, ...], entries: Sequence[_Entry]) -> None:
        """Add *entries* to the mapping or list at *path*."""
        place = self._place(path)
        if place is None:
            self._append(len(self.source), 0, entries, self.blank)
        elif place.count and not place.is_flow:
            end, blank = self._line_end(place.end), ""
            if not path:
                blank = self.blank
                if _ONLY_COMMENTS.fullmatch(self.source, end):
                    end = len(self.source)
            self._append(end, place.column, entries, blank)
        elif place.count:
            text = "".join(f",{_on_new_line(_flow(entry))}" for entry in entries)
            self._edit(place.inner_end, place.inner_end, text)
        else:
            self._fill(path, place, entries)

    def _fill(
        self, path: tuple[str, ...], place: Place, entries: Sequence[_Entry]
    ) -> None:
        """Add *entries* to a mapping or list without any, or to an empty value."""
        old = self.source[place.start : place.end]
        parent = self._place(path[:-1]) if path else None
        if parent is not None and parent.is_flow:
            is_list = path[-1] in _LISTS
            text = ",\n".join(map(_flow, entries))
            opening, closing = ("[", "]") if is_list else ("{", "}")
            self._edit(place.start, place.end, f" {opening}\n{text}{closing}")
        elif old in _NOTHING or _EMPTY_FLOW.fullmatch(old):
            end = self._line_end(place.end)
            begin = place.start
            if not self.source[place.end : end].strip():
                begin = len(self.source[:begin].rstrip(" \t"))
            if path and begin < place.end:
                self._edit(begin, place.end, "")
            elif not path:
                self._edit(place.start, place.end, "")
            column = parent.column + 2 if parent is not None else 0
            self._append(end, column, entries, "" if path else self.blank)
        else:
            text = ",\n".join(map(_flow, entries))
            self._edit(place.start + 1, place.start + 1, f"\n{text}")

    def _edit(self, start: int, end: int, text: str) -> None:
        self._edits.append((start, end, text, False))

    def _append(
        self, position: int, indent: int, entries: Sequence[_Entry], blank: str
    ) -> None:
        """Insert *entries* at *position*, the start of a line or the end of the text."""
        text = ""
        for number, entry in enumerate(entries):
            # The first text of a file has no empty line before it.
            gap = blank if number or self.source[:position].strip() else ""
            text += gap + "\n".join(entry(indent)) + "\n"
        self._edits.append((position, position, text, True))

    def _line_end(self, position: int) -> int:
        """Return the start of the line after *position*."""
        if position and self.source[position - 1] in "\r\n":
            return position  # the end of a literal block
        match = _BREAK.search(self.source, position)
        return match.end() if match else len(self.source)


def _paths(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key in *value*, also of nested ones."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield (*path, str(key))
            yield from _paths(inner, (*path, str(key)))


def _at(data: Any, path: Sequence[str]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _value(data: Mapping[str, Any], key: str) -> str:
    return yaml_text.inline(data[key]) if key in data else "not set"


def _flow(entry: _Entry) -> str:
    return "\n".join(entry(None))


def _on_new_line(text: str) -> str:
    """Return *text* for after a comma: on its line, unless it is several lines."""
    return f"\n{text}" if "\n" in text else f" {text.strip()}"


def _pair(key: str, value: object) -> _Entry:
    def lines(indent: int | None) -> Sequence[str]:
        if indent is None:
            return [f"  {yaml_text.scalar(key)}: {yaml_text.inline(value)}"]
        return list(yaml_text.entry(key, value, indent))

    return lines


def _item(value: object) -> _Entry:
    def lines(indent: int | None) -> Sequence[str]:
        if indent is None:
            return [f"  {yaml_text.inline(value)}"]
        return list(yaml_text.item(value, indent))

    return lines


def _job(job: ImportedJob, blank: str) -> _Entry:
    def lines(indent: int | None) -> Sequence[str]:
        if indent is None:
            pair = f"{yaml_text.scalar(job.name)}: {yaml_text.inline(job.settings)}"
            return [*comments(job, 2), f"  {pair}"]
        return [*([""] if blank else []), *job_lines(job, indent)]

    return lines


def _policy(policy: ImportedPolicy) -> _Entry:
    def lines(indent: int | None) -> Sequence[str]:
        if indent is None:
            return [*comments(policy, 2), f"  {yaml_text.inline(policy.settings)}"]
        return list(policy_lines(policy, indent))

    return lines


def _collection(key: str, entries: Sequence[_Entry]) -> _Entry:
    """Return the entry of a new list or mapping with *entries*."""

    def lines(indent: int | None) -> Sequence[str]:
        if indent is None:
            opening, closing = ("[", "]") if key in _LISTS else ("{", "}")
            text = ",\n".join(map(_flow, entries))
            return f"  {key}: {opening}\n{text}{closing}".split("\n")
        inner = chain.from_iterable(entry(indent + 2) for entry in entries)
        return [f"{' ' * indent}{key}:", *inner]

    return lines
