"""The parts of schedules by the wall clock: expressions, slots, excluded days."""

from __future__ import annotations
