"""Counts with their nouns; of its own, because clients import nothing else."""

from __future__ import annotations


def plural(count: int, one: str, many: str = "") -> str:
    """Return *count* with the noun *one*, or its plural *many* ("s" is added by default)."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
