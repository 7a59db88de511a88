"""Merging of the files of a configuration into one, and the way back to each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.config import document
from afterrun_exporter.config.source import SourceFile
from afterrun_exporter.errors import Problem
from afterrun_exporter.validation_messages import Finding, Path, kind_of, show

#: Sections that several files may have.
_MAPPINGS: Final = ("jobs", "projects")
_LISTS: Final = ("labels", "policies")
_SHARED: Final = (
    f"only {', '.join(_MAPPINGS)}, {_LISTS[1]} and {_LISTS[0]} may be in several files"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """A path in the file with this index."""

    file: int
    path: Path


@dataclass(frozen=True, slots=True)
class _Duplicate:
    """A key that an earlier file has, too."""

    place: _Place
    first: _Place
    hint: str = ""


@dataclass(slots=True)
class Merged:
    """The data of several files as if they were one."""

    data: dict[str, Any] = field(default_factory=dict)
    #: Values that cannot be merged.
    unmergeable: list[tuple[_Place, str]] = field(default_factory=list)
    duplicates: list[_Duplicate] = field(default_factory=list)
    #: The file of each section that has one, or that has it first.
    _sections: dict[str, int] = field(default_factory=dict)
    #: The file of each entry of a merged mapping.
    _entries: dict[tuple[str, str], int] = field(default_factory=dict)
    #: The place of each item of a merged list.
    _items: dict[str, list[_Place]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """True if everything could be merged."""
        return not (self.unmergeable or self.duplicates)

    def add(self, file: int, data: Any) -> None:
        """Add the *data* of the file with the index *file*."""
        if not isinstance(data, dict):
            message = f"expected keys and values, not {kind_of(data)}"
            self.unmergeable.append((_Place(file, ()), message))
            return
        for key, value in data.items():
            first = self._sections.setdefault(key, file)
            if key in _MAPPINGS:
                self._add_entries(file, key, value)
            elif key in _LISTS:
                self._add_items(file, key, value)
            elif first != file:
                here, there = _Place(file, (key,)), _Place(first, (key,))
                self.duplicates.append(_Duplicate(here, there, f": {_SHARED}"))
            else:
                self.data[key] = value

    def _add_entries(self, file: int, section: str, value: Any) -> None:
        entries = self.data.setdefault(section, {})
        if value is None:
            return
        if not isinstance(value, dict):
            message = f"expected keys and values, not {kind_of(value)}"
            self.unmergeable.append((_Place(file, (section,)), message))
            return
        for name, entry in value.items():
            first = self._entries.setdefault((section, name), file)
            if first == file:
                entries[name] = entry
                continue
            path = (section, name)
            self.duplicates.append(_Duplicate(_Place(file, path), _Place(first, path)))

    def _add_items(self, file: int, section: str, value: Any) -> None:
        items = self.data.setdefault(section, [])
        if value is None:
            return
        if not isinstance(value, list):
            message = f"expected a list such as [one, two], not {kind_of(value)}"
            self.unmergeable.append((_Place(file, (section,)), message))
            return
        places = self._items.setdefault(section, [])
        before = items[:] if section == "labels" else ()
        for position, item in enumerate(value):
            # Each file may declare the labels that its jobs use.
            if item in before:
                continue
            places.append(_Place(file, (section, position)))
            items.append(item)

    def place(self, path: Path) -> _Place:
        """Return the file of *path* in the merged data, and its path there."""
        match path:
            case (str(section), int(position), *inner) if section in self._items:
                item = self._items[section][position]
                return _Place(item.file, (*item.path, *inner))
            case (str(section), str(name), *_) if (section, name) in self._entries:
                return _Place(self._entries[section, name], path)
            case (str(section), *_):
                return _Place(self._sections.get(section, 0), path)
        return _Place(0, path)


def merge(files: Sequence[object]) -> Merged:
    """Return the data of *files* merged in their order."""
    merged = Merged()
    for index, data in enumerate(files):
        merged.add(index, data)
    return merged


def problems(
    files: Sequence[SourceFile], merged: Merged, findings: Sequence[Finding]
) -> Iterator[Problem]:
    """Yield *findings* and what could not be merged, each with its file and line there."""
    messages = [(merged.place(one.path), one.message) for one in findings]
    messages += merged.unmergeable
    places = [place for place, _ in messages]
    for one in merged.duplicates:
        places += (one.place, one.first)
    lines = _lines(files, places)
    for one in merged.duplicates:
        where = f"{files[one.first.file].name}:{lines[one.first]}"
        messages.append((one.place, f"duplicate key, first in {where}{one.hint}"))
    for place, message in messages:
        file = files[place.file].name
        yield Problem(lines[place], show(place.path), message, file)


def _lines(files: Sequence[SourceFile], places: Sequence[_Place]) -> dict[_Place, int]:
    """Return the line of each of *places*; each file is read once."""
    paths: dict[int, set[Path]] = {}
    for place in places:
        paths.setdefault(place.file, set()).add(place.path)
    documents = {
        file: document.read(files[file].text, of_file)
        for file, of_file in paths.items()
    }
    return {place: documents[place.file].line(place.path) for place in places}
