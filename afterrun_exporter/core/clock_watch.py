"""Steps of the wall clock and pauses of the daemon, from two readings of clocks."""

from __future__ import annotations

from typing import Final, NamedTuple

#: Tolerated difference of the wall clock from the elapsed time, in seconds. Slewing
#: changes both alike; a leap second is one second.
MIN_STEP: Final = 1.0

#: Minimum of seconds between two checks, normally one second apart, for a pause.
MIN_PAUSE: Final = 5.0


class ClockJump(NamedTuple):
    """A step of the wall clock, a pause of the daemon, or both at once."""

    #: The wall clock after it.
    now: float
    #: Seconds by which the clock was set: negative for back, 0 for no step.
    step: float
    #: Seconds without activity of the daemon, 0 for no pause.
    pause: float

    @property
    def since(self) -> float:
        """The time of day from which no report could arrive.

        Time that the clock skipped counts as downtime.
        """
        return self.now - self.pause - max(self.step, 0.0)


def jump(
    offset: float, looked_at: float, wall: float, passed: float
) -> ClockJump | None:
    """Return the step and the pause between two readings, or None.

    *wall* is the time of day; *passed* is a clock that cannot be set and that goes on
    while the machine is suspended; *looked_at* is its value at the previous check.
    *offset* is the difference of both after the last step, so small steps add up.
    """
    step, pause = wall - passed - offset, passed - looked_at
    if -MIN_STEP <= step <= MIN_STEP:
        if pause < MIN_PAUSE:
            return None
        step = 0.0
    return ClockJump(wall, step, pause if pause >= MIN_PAUSE else 0.0)
