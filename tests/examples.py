"""The number of examples that hypothesis tries, which depends on the profile."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> int:
    """Return *number*, or fewer where the profile tries fewer than a hundred."""
    return max(5, number * settings().max_examples // 100)
