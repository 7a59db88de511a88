"""Changes of the format of stored states, as numbered migrations.

A new field with a default needs none: it is missing in older states. Other changes of
`JobState` or its parts need a new function here. They work on decoded JSON, never on
`JobState`, so that they stay valid when that changes.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from afterrun_exporter.storage.codec import UnreadableRowError

#: Changes one state in place.
Change = Callable[[dict[str, Any]], None]

#: A report without a run id: fingerprint, time, and number of its run.
_UNNAMED: Final = struct.Struct("<8sdq")


def nested_keys(state: dict[str, Any]) -> None:
    """Put condition and rule of an alert into a list; pack reports without a run id.

    Until 2026-11-23 an alert began with its condition and its rule; until 2026-11-28
    `unnamed` was a list. This migration came later, and finds either format.
    """
    for name in ("alerts", "healed"):
        alerts = state.get(name, [])
        for place, alert in enumerate(alerts):
            if isinstance(alert[0], str):
                condition, rule, *rest = alert
                alerts[place] = [[condition, rule], *rest]
    if unnamed := state.pop("unnamed", None):
        packed = b"".join(
            _UNNAMED.pack(_fingerprint(text), at, run) for text, at, run in unnamed
        )
        state["unnamed_seen"] = base64.b64encode(packed).decode()


def _fingerprint(text: str) -> bytes:
    return bytes.fromhex(text) if len(text) == 16 else base64.b64decode(text)


#: The migrations by number, in one sequence with schema migrations.
CHANGES: Final[Mapping[int, Change]] = {6: nested_keys}


def migrate_states(connection: sqlite3.Connection, change: Change) -> None:
    """Apply *change* to every stored state, in the transaction of the caller."""
    changed = []
    for number, name, text in connection.execute("SELECT id, name, state FROM jobs"):
        try:
            state = json.loads(text)
            before = json.dumps(state)
            change(state)
        except (ValueError, TypeError, LookupError, struct.error) as error:
            raise UnreadableRowError("state", name, error) from error
        if json.dumps(state) != before:
            after = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
            changed.append((after, number))
    connection.executemany("UPDATE jobs SET state = ? WHERE id = ?", changed)
