"""Telling the operator what was refused, without drowning the log."""

from __future__ import annotations

from typing import Final

import structlog

#: Refusals that are told in one minute; a client gone wild has no more to say.
A_MINUTE: Final = 30

#: What is told, of reports and of what they say of their jobs.
PING: Final = "ping_refused"
DESCRIPTION: Final = "description_refused"

log = structlog.get_logger()


class Refusals:
    """Logs what was refused, so much a minute, and how much more there was."""

    def __init__(self, event: str = "ping_refused") -> None:
        self._event = event
        self._minute = 0
        self._told = 0
        self._untold = 0

    def tell(self, at: float, event: str = "", **facts: str) -> None:
        """Note that something was refused at *at*."""
        if (minute := int(at // 60)) != self._minute:
            if self._untold:
                log.warning("more_refused", what=self._event, more=self._untold)
            self._minute, self._told, self._untold = minute, 0, 0
        if self._told >= A_MINUTE:
            self._untold += 1
            return
        self._told += 1
        log.warning(event or self._event, **facts)
