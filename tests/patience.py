"""How long tests wait for what is to come."""

from __future__ import annotations

from typing import Final

#: Seconds: what takes longer on a slow machine, beside other programs that keep it busy,
#: will never come.
PATIENCE: Final = 600.0
