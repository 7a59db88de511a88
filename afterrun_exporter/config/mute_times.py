"""Schema of ``mute_times:`` in ``alertmanager:``: recurring times as in Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Self

from pydantic import AfterValidator, model_validator

from afterrun_exporter.config.alerting_values import OneOrMany
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.values import NotEmpty, Zone
from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.routing import TimeInterval
from afterrun_exporter.validation_messages import quote

_DAYS: Final = (
    *("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"),
)
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(
            f"{quote(text)} is not a time of day; write it like 08:30, at most 24:00"
        )
    return text


def _range(
    what: str, position: Callable[[str], int | None], words: Sequence[str] = ()
) -> AfterValidator:
    """Return a validator of one value, or of an ordered range ``first:last``."""

    def check(text: str) -> str:
        ends = [end.strip().lower() for end in text.split(":")]
        positions = [position(end) for end in ends]
        if len(ends) > 2 or None in positions:
            hint = did_you_mean(text.lower(), words)
            raise ValueError(f"{quote(text)} is not {what}{hint}")
        first, last = positions[0], positions[-1]
        if first is not None and last is not None and first > last:
            raise ValueError(f"{quote(text)} ends before it begins")
        return ":".join(ends)

    return AfterValidator(check)


def _word(words: Sequence[str]) -> Callable[[str], int | None]:
    return lambda text: words.index(text) if text in words else None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,4}", text) else None


def _month(text: str) -> int | None:
    number = _number(text)
    if number is not None and 1 <= number <= len(_MONTHS):
        return number - 1
    return _word(_MONTHS)(text)


def _day_of_month(text: str) -> int | None:
    number = _number(text)
    if number is None or not 1 <= abs(number) <= 31:
        return None
    # -1 is the last day: after the 28th in any month.
    return number if number > 0 else 100 + number


def _year(text: str) -> int | None:
    number = _number(text)
    return number if number is not None and number >= 1 else None


_WeekDay = Annotated[
    str, _range("a day such as monday or monday:friday", _word(_DAYS), _DAYS)
]
_Month = Annotated[
    str, _range("a month such as may, 5 or january:march", _month, _MONTHS)
]
_DayOfMonth = Annotated[
    str, _range("a day of the month such as 1, 1:5 or -1, the last", _day_of_month)
]
_Year = Annotated[str, _range("a year such as 2026 or 2026:2027", _year)]


class TimesSpec(Spec):
    """One of ``times:``, from a minute of the day until another."""

    start: Annotated[str, AfterValidator(_clock)]
    end: Annotated[str, AfterValidator(_clock)]

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start >= self.end:
            raise ValueError(
                f"{self.end} is not after {self.start}: split what goes over midnight "
                "in two"
            )
        return self


class MuteTimeSpec(Spec):
    """One interval of a mute time: a time must match all of its keys."""

    times: Annotated[tuple[TimesSpec, ...], OneOrMany] = ()
    weekdays: Annotated[tuple[_WeekDay, ...], OneOrMany] = ()
    days_of_month: Annotated[tuple[_DayOfMonth, ...], OneOrMany] = ()
    months: Annotated[tuple[_Month, ...], OneOrMany] = ()
    years: Annotated[tuple[_Year, ...], OneOrMany] = ()
    location: Annotated[Zone, NotEmpty] = ""

    @model_validator(mode="after")
    def _has_times(self) -> Self:
        if not self.model_fields_set - {"location"}:
            raise ValueError(
                "has no times: set some of times, weekdays, days_of_month, "
                "months, years"
            )
        return self

    def interval(self) -> TimeInterval:
        return TimeInterval(
            **{**dict(self), "times": tuple((one.start, one.end) for one in self.times)}
        )
