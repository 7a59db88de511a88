"""How often a daemon looks for what nobody refers to any more."""

from __future__ import annotations

import gc
from typing import Final

#: Objects that may pile up before cycles are looked for.
GARBAGE: Final = 50_000


def tune() -> None:
    """Have what is there to stay looked at no more, and the rest not so often.

    A ping leaves no cycles behind, and the states of many jobs are many objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])
