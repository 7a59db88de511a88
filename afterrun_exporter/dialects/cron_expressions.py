"""Cron expressions as other systems' clients write them."""

from __future__ import annotations

import re
from typing import Final

_ZERO: Final = re.compile(r"0{1,2}")
_WITH_SECONDS: Final = 6


def five_fields(text: str) -> str:
    """Return the expression *text* without a seconds field that is 0.

    node-cron, Quartz and others write six fields, seconds first. Other seconds cannot
    be dropped: such an expression stays as it is, and is refused where it is read.
    """
    fields = text.split()
    if len(fields) == _WITH_SECONDS and _ZERO.fullmatch(fields[0]):
        fields = fields[1:]
    return " ".join(fields)
