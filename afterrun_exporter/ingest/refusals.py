"""Telling the operator what was refused, without drowning the log."""

from __future__ import annotations

from typing import Final

import structlog

#: Refusals that are told in one minute; a client gone wild has no more to say.
A_MINUTE: Final = 30

log = structlog.get_logger()


class Refusals:
    """Logs what is refused, so many a minute, and how many more there were."""

    def __init__(self, event: str = "ping_refused") -> None:
        self._event = event
        self._minute = 0
        self._told = 0
        self._untold = 0

    def tell(self, at: float, **facts: str) -> None:
        """Note that something was refused at *at*."""
        if (minute := int(at // 60)) != self._minute:
            if self._untold:
                log.warning("more_refused", what=self._event, more=self._untold)
            self._minute, self._told, self._untold = minute, 0, 0
        if self._told >= A_MINUTE:
            self._untold += 1
            return
        self._told += 1
        log.warning(self._event, **facts)
