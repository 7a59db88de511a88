"""Commits of the configuration, as people read them."""

from __future__ import annotations

from typing import Final

#: Added to the id of a commit if files differ from it.
DIRTY: Final = "-dirty"
#: The number of characters that tell commits apart.
SHORT: Final = 12


def short_commit(commit: str) -> str:
    """Return *commit* with the first characters of its id."""
    return commit[:SHORT] + (DIRTY if commit.endswith(DIRTY) else "")
