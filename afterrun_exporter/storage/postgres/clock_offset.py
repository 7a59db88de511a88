"""The difference of the clock of this machine from that of the database."""

from __future__ import annotations

from typing import Final

import structlog

from afterrun_exporter.clock import Clock

#: Seconds by which the clock may differ: to lead, and to serve at all.
LEADING: Final = 1.0
SERVING: Final = 5.0

log = structlog.get_logger()


class ClockOffset:
    """Seconds by which the clock here is ahead.

    It is measured with each sign of life. The clock may be set between two of these: a
    leader would record all jobs as missed until the next one. So its time of day is
    compared with the elapsed time, too.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._measured = 0.0
        #: The time of day minus the elapsed time when it was measured.
        self._difference = clock.now() - clock.elapsed()

    def now(self) -> float:
        """Return the present offset in seconds."""
        return self.at(self._clock.elapsed(), self._clock.now())

    def at(self, elapsed: float, wall: float) -> float:
        """Return the offset at a time by both clocks."""
        return self._measured + (wall - elapsed) - self._difference

    def measure(self, began: float, database_time: float) -> None:
        """Note *database_time*, in the response to a request that *began* here then."""
        end, elapsed = self._clock.now(), self._clock.elapsed()
        # That clock may have been read at any time between.
        offset = max(0.0, began - database_time) + min(0.0, end - database_time)
        if abs(offset) >= LEADING > abs(self._measured):
            log.warning(
                "clock_differs_from_database",
                seconds=round(offset, 3),
                hint="synchronize the clocks: this replica does not lead",
            )
        self._measured, self._difference = offset, end - elapsed
