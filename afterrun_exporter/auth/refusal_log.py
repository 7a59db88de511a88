"""Rate-limited log of refused requests and reports."""

from __future__ import annotations

from typing import Final

import structlog

#: The most logged refusals of one source per minute.
A_MINUTE: Final = 30
#: The most logged refusals of all sources per minute.
ALTOGETHER: Final = 300

#: Events for refused reports and refused descriptions of jobs.
PING: Final = "ping_refused"
DESCRIPTION: Final = "description_refused"
#: The event for the first report of an auto-registered job.
REGISTERED: Final = "job_registered"

log = structlog.get_logger()


class RefusalLog:
    """Logs a limited number of refusals per minute, and the number of further ones."""

    def __init__(self, event: str = "ping_refused") -> None:
        self._event = event
        self._minute = 0
        self._logged: dict[str, int] = {}
        self._suppressed = 0

    def log_refusal(
        self, at: float, event: str = "", *, source: str = "", **facts: str
    ) -> None:
        """Log a refusal, rate-limited per *source*."""
        if (minute := int(at // 60)) != self._minute:
            if self._suppressed:
                log.warning("more_refused", what=self._event, more=self._suppressed)
            self._minute, self._suppressed = minute, 0
            self._logged.clear()
        logged = self._logged.get(source, 0)
        if logged >= A_MINUTE or sum(self._logged.values()) >= ALTOGETHER:
            if not self._suppressed:
                log.warning(
                    "refusals_muted",
                    what=self._event,
                    source=source,
                    until="next minute",
                )
            self._suppressed += 1
            return
        self._logged[source] = logged + 1
        log.warning(event or self._event, **facts)
