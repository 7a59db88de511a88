"""Is what was acknowledged in the database, once each and as it was sent?"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Of each series, so many runs are compared with what was sent.
SAMPLE: Final = 1000

_STORED: Final = "SELECT run_id, metrics FROM runs WHERE run_id GLOB ?"


@dataclass(frozen=True, slots=True)
class Count:
    """What came of the pings of one or more series."""

    acknowledged: int
    #: Those whose answer nobody waited for: under way when the load ended.
    unheard: int
    #: Those whose numbers were compared.
    compared: int


@dataclass(frozen=True, slots=True)
class Series:
    """Pings whose run ids start with `name`."""

    name: str
    #: The run ids that were acknowledged, one a line: load.lua wrote it.
    file: Path
    sent: int


def audit(database: Path, series: Iterable[Series]) -> Count:
    """Compare *database* with what was acknowledged.

    Raises RuntimeError when a ping is not there, or twice, or not as it was sent.
    """
    acknowledged = unheard = compared = 0
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        for one in series:
            told = one.file.read_text("ascii").split()
            rows = connection.execute(_STORED, (f"{one.name}-*",)).fetchall()
            stored = dict(rows)
            if len(rows) != len(stored) or len(told) != len(set(told)):
                raise RuntimeError(f"{one.name}: a ping was recorded twice")
            if lost := set(told) - stored.keys():
                some = ", ".join(sorted(lost)[:3])
                raise RuntimeError(f"{len(lost)} pings are lost, among them {some}")
            if len(rows) > one.sent:
                raise RuntimeError(f"{one.name}: more is stored than was sent")
            sample = told[:: max(1, len(told) // SAMPLE)]
            for run_id in sample:
                _compare(run_id, stored[run_id])
            acknowledged += len(told)
            unheard += len(rows) - len(told)
            compared += len(sample)
    finally:
        connection.close()
    return Count(acknowledged, unheard, compared)


def _compare(run_id: str, metrics: str) -> None:
    """Raise RuntimeError unless *metrics* are what load.lua sent with *run_id*."""
    number = int(run_id.rpartition("-")[2])
    sent = {
        "rows_processed": 100_000 + number % 50_000,
        "file_size_bytes": 3_400_000 + number,
        "error_ratio": round(0.01 + number % 100 / 10_000, 4),
    }
    if (stored := json.loads(metrics)) != sent:
        raise RuntimeError(f"{run_id}: sent {sent}, stored {stored}")
