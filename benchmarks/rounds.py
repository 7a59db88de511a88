"""Measuring two or more things in turn, and saying what came of it.

Machines are noisy, and what disturbs them lasts for seconds: so nothing is
measured first and compared later. Each round measures every side, in random
order, and what counts is the median of the rounds' ratios.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median, quantiles
from typing import Final

#: Measures one side once.
Side = Callable[[], Awaitable[float]]

_UNITS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


@dataclass(frozen=True, slots=True)
class Measured:
    """What one side came to, round by round, in seconds."""

    rounds: Sequence[float]

    def over(self, other: Measured) -> Measured:
        """Return the ratio of this side to *other* in each round."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return Measured([mine / its for mine, its in pairs])

    def less(self, other: Measured) -> Measured:
        """Return what this side has more than *other* in each round."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return Measured([mine - its for mine, its in pairs])

    @property
    def median(self) -> float:
        return median(self.rounds)

    def seconds(self) -> str:
        """Return the median and the quartiles in a unit that suits them."""
        scale, unit = next(
            (one for one in _UNITS if abs(self.median) >= one[0]), _UNITS[-1]
        )
        return f"{self._spread(1 / scale)} {unit}"

    def rate(self) -> str:
        """Return the median and the quartiles as so many in a second."""
        return f"{self._spread(1.0)} /s"

    def plain(self) -> str:
        """Return the median and the quartiles as they are."""
        return self._spread(1.0)

    def _spread(self, factor: float) -> str:
        quartiles = quantiles(self.rounds, n=4, method="inclusive")
        low, middle, high = (_show(n * factor) for n in quartiles)
        return f"{middle} ({low}-{high})"


def _show(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


async def alternate(count: int, *sides: Side, warm: bool = False) -> list[Measured]:
    """Measure every side *count* times, in turn.

    One round more comes first, to warm up, unless all is *warm*.
    """
    found: list[list[float]] = [[] for _ in sides]
    order = list(enumerate(sides))
    # A fixed order can fall into step with the scheduler's clock.
    shuffle = Random(count).shuffle  # noqa: S311
    for _ in range(count + (not warm)):
        shuffle(order)
        for at, side in order:
            found[at].append(await side())
    return [Measured(values[-count:]) for values in found]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict(ratio: float, bar: float, unit: str = "") -> str:
    """Return whether *ratio* keeps within *bar*, in words."""
    most = f"<= {bar:g} {unit}".rstrip()
    return f"{'reached' if ratio <= bar else 'MISSED'} ({most})"


def at_least(ratio: float, bar: float) -> str:
    """Return whether *ratio* comes up to *bar*, in words."""
    return f"{'reached' if ratio >= bar else 'MISSED'} (>= {bar:,g})"
