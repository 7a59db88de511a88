"""Telling the operator what was refused, without drowning the log."""

from __future__ import annotations

from collections import Counter
from typing import Final

import structlog

#: Refusals of one sender that are told in one minute: gone wild, it has no more to say.
A_MINUTE: Final = 30
#: And of all of them, so that many senders drown nothing either.
ALTOGETHER: Final = 300

#: What is told, of reports and of what they say of their jobs.
PING: Final = "ping_refused"
DESCRIPTION: Final = "description_refused"
#: What is told of the first report of a job whose name may be misspelt.
REGISTERED: Final = "job_registered"

log = structlog.get_logger()


class RefusalLog:
    """Logs what was refused, so much a minute, and how much more there was."""

    def __init__(self, event: str = "ping_refused") -> None:
        self._event = event
        self._minute = 0
        self._told: Counter[str] = Counter()
        self._untold = 0

    def tell(self, at: float, event: str = "", *, of: str = "", **facts: str) -> None:
        """Note that something was refused at *at*; nobody takes the place of *of*."""
        if (minute := int(at // 60)) != self._minute:
            if self._untold:
                log.warning("more_refused", what=self._event, more=self._untold)
            self._minute, self._untold = minute, 0
            self._told.clear()
        if self._told[of] >= A_MINUTE or self._told.total() >= ALTOGETHER:
            if not self._untold:
                log.warning(
                    "refusals_muted", what=self._event, of=of, until="next minute"
                )
            self._untold += 1
            return
        self._told[of] += 1
        log.warning(event or self._event, **facts)
