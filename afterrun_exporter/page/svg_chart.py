"""Charts of a job's runs as SVG that scales in width but keeps its text size.

Horizontal positions are percentages and vertical ones are pixels, so that text is not
distorted; axis labels are HTML beside the chart. Every colour has a mark or a word as
an alternative.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from afterrun_exporter.core.plurals import plural
from afterrun_exporter.page.number_format import short, top_of

#: Height of the chart, and of the space at its top for marks, in pixels.
HEIGHT: Final = 120
ROOM: Final = 16
#: The minimum number of slots for bars, so that few runs do not get wide bars.
SLOTS: Final = 24
#: The number of styles of lines that tell limits apart.
STYLES: Final = 4
#: A limit above the largest value times this is not drawn to scale.
BEYOND: Final = 4.0
_BELOW: Final = {">", ">="}
_ABOVE: Final = {"<", "<="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run."""

    #: None if it was not reported.
    value: float | None
    bad: bool
    #: The tooltip.
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit for values: one value, or one for each point."""

    label: str
    op: str
    value: float | None = None
    values: tuple[float | None, ...] = ()

    def thresholds(self) -> Iterator[float]:
        """Yield the values of the limit, without unknown ones."""
        yield from (v for v in (self.value, *self.values) if v is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The data of a chart, the oldest run first."""

    title: str
    metric: str
    points: Sequence[Point]
    limits: Sequence[Limit] = ()
    #: The unit of its rules: "s", "B", "%" or "" for that of the metric.
    unit: str = ""
    _scale: tuple[float, float] = field(init=False, default=(0.0, 1.0))

    def __post_init__(self) -> None:
        object.__setattr__(self, "_scale", _scale_of(self))

    @property
    def ticks(self) -> tuple[str, str, str]:
        """The labels of the axis, from its top down."""
        low, high = self._scale
        middle = low / 2 + high / 2
        return tuple(short(v, self.metric, self.unit) for v in (high, middle, low))  # type: ignore[return-value]

    @property
    def legend(self) -> list[str]:
        """The labels of the lines, in the order of the limits."""
        return [
            f"{limit.label} (above the scale)"
            if limit.value is not None and self._is_beyond(limit.value)
            else limit.label
            for limit in self.limits
        ]

    @property
    def text(self) -> str:
        """A description of the chart for screen readers."""
        values = [point.value for point in self.points if point.value is not None]
        many = len(self.points)
        words = [
            f"{self.title} of the last {plural(many, 'run')}"
            if many != 1
            else f"{self.title} of one run"
        ]
        if values:
            low, middle, high = min(values), statistics.median(values), max(values)
            labels = (
                short(value, self.metric, self.unit) for value in (low, high, middle)
            )
            words.append("from {} to {}, median {}".format(*labels))
        else:
            words.append("none reported it")
        words += (f"limit {label}" for label in self.legend)
        if bad := sum(point.bad for point in self.points):
            words.append(f"{bad} marked as bad")
        return "; ".join(words)

    def svg(self) -> Markup:
        """Return the drawing."""
        parts = [
            Markup(
                '<svg class="plot" role="img"><title>{}</title><desc>{}</desc>'
            ).format(self.title, self.text),
            *self._forbidden(),
            Markup('<line class="base" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(
                _px(self._y(max(0.0, self._scale[0])))
            ),
            *self._bars(),
            *self._lines(),
            Markup("</svg>"),
        ]
        return Markup().join(parts)

    def _bars(self) -> Iterator[Markup]:
        slots = max(len(self.points), SLOTS)
        width = 100 / slots
        base = self._y(min(max(0.0, self._scale[0]), self._scale[1]))
        for place, point in enumerate(self.points, slots - len(self.points)):
            x = place * width
            yield Markup(
                '<g><title>{}</title><rect class="hit" x="{}" width="{}"/>'
            ).format(point.label, _percent(x), _percent(width))
            mark = base
            if point.value is not None:
                end = self._y(point.value)
                mark = min(end, base)
                yield Markup(
                    '<rect class="bar {}" x="{}" y="{}" width="{}" height="{}"/>'
                ).format(
                    "bad" if point.bad else "good",
                    _percent(x + 0.15 * width),
                    _px(mark),
                    _percent(0.7 * width),
                    _px(max(1.0, abs(end - base))),
                )
            if point.bad:
                yield Markup('<use href="#{}" x="{}" y="{}"/>').format(
                    "mark-missing" if point.value is None else "mark-bad",
                    _percent(x + width / 2),
                    _px(mark - 8),
                )
            yield Markup("</g>")

    def _forbidden(self) -> Iterator[Markup]:
        for limit in self.limits:
            if limit.value is None or self._is_beyond(limit.value):
                continue
            y = self._y(limit.value)
            top, bottom = (y, _BOTTOM) if limit.op in _BELOW else (0.0, y)
            if limit.op in _BELOW | _ABOVE and bottom - top >= 1:
                yield Markup(
                    '<rect class="forbidden" y="{}" width="100%" height="{}"/>'
                ).format(_px(top), _px(bottom - top))

    def _lines(self) -> Iterator[Markup]:
        for place, limit in enumerate(self.limits):
            style = f"l{place % STYLES}"
            if limit.value is None:
                yield from self._steps(limit, style)
                continue
            beyond = self._is_beyond(limit.value)
            yield Markup(
                '<line class="limit {1}{2}" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
            ).format(
                _px(1.0 if beyond else self._y(limit.value)),
                style,
                " beyond" if beyond else "",
            )

    def _steps(self, limit: Limit, style: str) -> Iterator[Markup]:
        slots = max(len(self.points), SLOTS)
        width = 100 / slots
        for place, value in enumerate(limit.values, slots - len(limit.values)):
            if value is not None and not self._is_beyond(value):
                yield Markup(
                    '<line class="limit {3}" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
                ).format(
                    _percent(place * width),
                    _percent((place + 1) * width),
                    _px(self._y(value)),
                    style,
                )

    def _is_beyond(self, value: float) -> bool:
        return not self._scale[0] <= value <= self._scale[1]

    def _y(self, value: float) -> float:
        low, high = self._scale
        # The difference of very large numbers can overflow to infinity.
        scale = 0.5 if math.isinf(high - low) else 1.0
        share = (value * scale - low * scale) / (high * scale - low * scale)
        return _BOTTOM - min(max(share, 0.0), 1.0) * (_BOTTOM - ROOM)


_BOTTOM: Final = HEIGHT - 1.0


def _scale_of(chart: Chart) -> tuple[float, float]:
    values = [point.value for point in chart.points if point.value is not None]
    largest = max((abs(value) for value in values), default=0.0)
    thresholds = [value for limit in chart.limits for value in limit.thresholds()]
    # Without any value, only the limits are shown.
    to_scale = [v for v in thresholds if not largest or abs(v) <= BEYOND * largest]
    low, high = min([0.0, *values, *to_scale]), max([0.0, *values, *to_scale])
    bottom = -top_of(-low, chart.metric, chart.unit) if low < 0 else 0.0
    return bottom, top_of(
        high, chart.metric, chart.unit
    ) if high > 0 or not bottom else 0.0


def _percent(share: float) -> str:
    return f"{share:.3f}".rstrip("0").rstrip(".") + "%"


def _px(pixels: float) -> str:
    return f"{pixels:.1f}".rstrip("0").rstrip(".")
