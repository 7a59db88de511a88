"""Steps of the wall clock and pauses of the daemon, as two readings of clocks show them."""

from __future__ import annotations

from typing import Final, NamedTuple

#: Seconds by which the wall clock may differ from the time that passed. Slewing changes
#: both alike, and a leap second is one.
MIN_STEP: Final = 1.0

#: Seconds between two looks, which are a second apart at most, that make a pause.
MIN_PAUSE: Final = 5.0


class ClockJump(NamedTuple):
    """A step of the wall clock, a pause of the daemon, or both at once."""

    #: The wall clock afterwards.
    now: float
    #: Seconds by which it was set: back if negative, 0 for no step.
    step: float
    #: Seconds in which the daemon did nothing, 0 for no pause.
    pause: float

    @property
    def since(self) -> float:
        """The time of day since which no report could arrive.

        What the clock left out counts as time in which the daemon was down.
        """
        return self.now - self.pause - max(self.step, 0.0)


def jump(
    offset: float, looked_at: float, wall: float, passed: float
) -> ClockJump | None:
    """Return the step and the pause that two clocks show, or None for neither.

    *wall* is the time of day; *passed* is a clock that cannot be set and goes on while the
    machine is suspended, and was *looked_at* at the last look. *offset* is the difference
    of the two after the last step: several small ones since are as good as one.
    """
    step, pause = wall - passed - offset, passed - looked_at
    if -MIN_STEP <= step <= MIN_STEP:
        if pause < MIN_PAUSE:
            return None
        step = 0.0
    return ClockJump(wall, step, pause if pause >= MIN_PAUSE else 0.0)
