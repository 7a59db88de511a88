"""Positions in the text of afterrun.yml, for insertions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from afterrun_exporter.config.document import LOADER

#: The levels of nesting whose keys have positions.
_DEPTH: Final = 8


@dataclass(slots=True)
class Place:
    """A value in the text. Positions are characters from the start of the text."""

    start: int
    #: The end of its last scalar or flow collection, without what follows it.
    end: int
    #: "scalar", "alias", "mapping" or "sequence".
    kind: str
    is_flow: bool = False
    #: The column of the keys or items of the root, or of one of its sections.
    column: int = 0
    #: Values of a mapping by key.
    values: dict[str, Place] = field(default_factory=dict)
    #: The number of keys or items.
    count: int = 0
    #: The end of the last key or item, also in a flow collection.
    inner_end: int = 0


def locate(text: str) -> Place | None:
    """Return the root value of the valid YAML *text*, or None if there is none."""
    loader: Any = LOADER(text)
    loader.get_event()  # the start of the stream
    if isinstance(loader.get_event(), yaml.StreamEndEvent):
        return None
    return _place(text, loader, loader.get_event(), 0)


def _place(text: str, loader: Any, event: Any, depth: int) -> Place:
    start, end = event.start_mark.index, event.end_mark.index
    if isinstance(event, yaml.AliasEvent):
        return Place(start, end, "alias")
    if isinstance(event, yaml.ScalarEvent):
        return Place(start, end, "scalar")
    is_mapping = isinstance(event, yaml.MappingStartEvent)
    is_flow = bool(event.flow_style)
    place = Place(start, end, "mapping" if is_mapping else "sequence", is_flow)
    closing: Any = yaml.MappingEndEvent if is_mapping else yaml.SequenceEndEvent
    while not isinstance(event := loader.get_event(), closing):
        if not place.count and depth <= 1:
            place.column = _column(text, event, is_mapping)
        place.count += 1
        value = _place(text, loader, event, depth + 1)
        if is_mapping:
            key = getattr(event, "value", "")
            value = _place(text, loader, loader.get_event(), depth + 1)
            if depth < _DEPTH:
                place.values[key] = value
        place.end = place.inner_end = value.end
    if is_flow:
        place.end = event.end_mark.index
    return place


def _column(text: str, event: Any, is_mapping: bool) -> int:
    """Return the column of a key, or of the dash before an item."""
    column: int = event.start_mark.column
    if is_mapping:
        return column
    before = text[: event.start_mark.index].rstrip()
    lines = before.splitlines()
    return len(lines[-1]) - 1 if before.endswith("-") else column
