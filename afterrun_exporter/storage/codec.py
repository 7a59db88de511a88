"""Facts to JSON and back. What has its default value is left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.rules import Violation
from afterrun_exporter.core.state import (
    DERIVED,
    AlertKey,
    HealedAlert,
    JobState,
    OpenAlert,
    OpenRun,
    Unnamed,
)


def _open_run(parts: list[Any]) -> OpenRun:
    run_id, attempt, at, metrics, *group = parts
    return OpenRun(
        run_id=run_id,
        attempt=attempt,
        started_at=at,
        metrics=metrics,
        # What an earlier version wrote has none.
        group=group[0] if group else "",
    )


def _alert(parts: list[Any]) -> OpenAlert:
    condition, rule, opened_at, shown_at, deadline = parts
    return OpenAlert(
        key=AlertKey(Condition(condition), rule),
        opened_at=opened_at,
        shown_at=shown_at,
        deadline=deadline,
    )


def _healed(parts: list[Any]) -> HealedAlert:
    condition, rule, until, deadline = parts
    key = AlertKey(Condition(condition), rule)
    return HealedAlert(key=key, until=until, deadline=deadline)


def _each(decode: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    return lambda rows: tuple(decode(row) for row in rows)


# Fields that are more than a number or a text: how they are written and read.
_SHAPED: Final[Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "last_outcome": (str, Outcome),
    "metrics": (dict, dict),
    "previous": (dict, dict),
    "violated": (list, tuple),
    "upstream": (list, tuple),
    "open_runs": (
        lambda runs: [
            [run.run_id, run.attempt, run.started_at, dict(run.metrics), run.group]
            for run in runs
        ],
        _each(_open_run),
    ),
    "alerts": (
        lambda alerts: [
            [a.key.condition, a.key.rule, a.opened_at, a.shown_at, a.deadline]
            for a in alerts
        ],
        _each(_alert),
    ),
    "healed": (
        lambda alerts: [
            [a.key.condition, a.key.rule, a.until, a.deadline] for a in alerts
        ],
        _each(_healed),
    ),
    "unnamed": (
        lambda pings: [[p.fingerprint.hex(), p.at, p.run] for p in pings],
        _each(lambda parts: Unnamed(bytes.fromhex(parts[0]), parts[1], parts[2])),
    ),
}

#: The others, and their defaults. `seen` is bytes, and a column of its own.
_PLAIN: Final = {
    field.name: field.default
    for field in fields(JobState)
    if field.name not in {*_SHAPED, *DERIVED, "seen"}
}


def encode_state(state: JobState) -> str:
    """Return *state* as a JSON object, all but `seen` and what is derived."""
    facts = {
        name: value
        for name, default in _PLAIN.items()
        if (value := getattr(state, name)) != default
    }
    for name, (write, _) in _SHAPED.items():
        if value := getattr(state, name):
            facts[name] = write(value)
    return _dump(facts)


def decode_state(text: str, seen: bytes) -> JobState:
    """Return the state that *text* was made of."""
    facts = json.loads(text)
    for name, (_, read) in _SHAPED.items():
        if name in facts:
            facts[name] = read(facts[name])
    return JobState(**facts, seen=seen)


def encode_violations(violations: Sequence[Violation]) -> str:
    """Return *violations* as a JSON array."""
    return _dump([[v.rule, v.metric, v.value, v.expected] for v in violations])


def decode_violations(text: str) -> tuple[Violation, ...]:
    """Return the violations that *text* was made of."""
    return tuple(Violation(*parts) for parts in json.loads(text))


def encode_metrics(metrics: Mapping[str, float]) -> str:
    """Return reported values as a JSON object."""
    return _dump(dict(metrics))


def decode_metrics(text: str) -> dict[str, float]:
    """Return the reported values that *text* was made of."""
    return {name: float(value) for name, value in json.loads(text).items()}


def _dump(value: object) -> str:
    # What is not finite has been refused at the border: none may slip in here.
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
