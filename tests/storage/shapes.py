"""Stored examples of the shapes that states have had, from 2026-11-29 on.

`python -m tests.storage.shapes` adds an example of the shape that states have now.
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from afterrun_exporter.core import state
from afterrun_exporter.core.state import DERIVED, JobState
from afterrun_exporter.storage.codec import encode_state
from afterrun_exporter.storage.sqlite.migrations import newest

FOLDER: Final = Path(__file__).parent / "formats" / "states"

#: What a state is made of.
STRUCTS: Final = (
    JobState,
    state.OpenRun,
    state.HungRun,
    state.Retry,
    state.AlertKey,
    state.OpenAlert,
    state.RecentlyResolved,
    state.EndedAlert,
    state.Mark,
    state.BadRun,
    state.UnobservedSlots,
)


def shape() -> dict[str, list[str]]:
    """Return the stored fields of each struct, in order."""
    return {
        one.__name__: [
            f.encode_name for f in fields(one) if f.name not in {*DERIVED, "run_keys"}
        ]
        for one in STRUCTS
    }


def example() -> JobState:
    """Return a state in which nothing has its default value."""
    made: JobState = _struct(JobState)
    return made


def stored() -> list[Path]:
    """Return the files of all examples, the oldest first."""
    return sorted(FOLDER.glob("*.json"))


def _struct(type_: type[Any]) -> Any:
    hints = get_type_hints(type_)
    stored_fields = [f for f in fields(type_) if f.name not in DERIVED]
    return type_(
        **{
            f.name: _value(hints[f.name], f.encode_name, place)
            for place, f in enumerate(stored_fields)
        }
    )


def _value(hint: Any, name: str, place: int) -> Any:
    kind, parts = get_origin(hint), get_args(hint)
    if kind in {Union, UnionType}:
        (hint,) = (part for part in parts if part is not NoneType)
        return _value(hint, name, place)
    if kind is tuple:
        return (_value(parts[0], name, place),)
    if kind is not None:
        return {"rows": _value(parts[1], name, place)}
    if issubclass(hint, Struct):
        return _struct(hint)
    if issubclass(hint, Enum):
        return [*hint][-1]
    plain = {bool: True, int: place + 2, float: place + 2.5, str: name, bytes: b"x" * 8}
    return plain[hint]


def main() -> None:
    """Store an example of today's shape, unless there is one."""
    files = stored()
    if files and json.loads(files[-1].read_text("utf-8"))["shape"] == shape():
        return
    found = {
        "version": newest(),
        "shape": shape(),
        "state": json.loads(encode_state(example())),
    }
    file = FOLDER / f"{len(files) + 1:04}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
