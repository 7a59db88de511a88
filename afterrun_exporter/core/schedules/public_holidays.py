"""Public holidays and bank holidays, from the library holidays, which is optional."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Final

from afterrun_exporter.core.did_you_mean import near

#: The command that installs the library.
INSTALL: Final = "pip install 'afterrun-exporter[holidays]'"
#: The maximum number of subdivisions to list in a message.
_MANY: Final = 60


def check(calendar: str) -> None:
    """Raise ValueError with a correction if *calendar* is none of the library.

    It is a code like ``DE``, ``DE-BY`` or ``XNYS``.
    """
    country, _, subdivision = calendar.partition("-")
    countries = _countries()
    markets = _library().list_supported_financial()
    if country in countries:
        parts = countries[country]
        if subdivision and subdivision not in parts:
            raise ValueError(_unknown_part(country, subdivision, parts))
    elif calendar not in markets:
        raise ValueError(_unknown(calendar, countries, markets))


@lru_cache(maxsize=4096)
def days(calendar: str, year: int) -> frozenset[int]:
    """Return the holidays of *calendar* in *year*, as ordinals."""
    country, _, subdivision = calendar.partition("-")
    with warnings.catch_warnings():
        # Some holidays, such as those of a lunar calendar, are known for some years.
        warnings.simplefilter("ignore")
        if country in _countries():
            result = _library().country_holidays(
                country, subdiv=subdivision or None, years=year
            )
        else:
            result = _library().financial_holidays(calendar, years=year)
        return frozenset(day.toordinal() for day in result if day.year == year)


def _library() -> ModuleType:
    try:
        return import_module("holidays")
    except ImportError:
        raise ValueError(f"holidays need another package: {INSTALL}") from None


@lru_cache(maxsize=1)
def _countries() -> Mapping[str, Sequence[str]]:
    """Return the subdivisions by country; also by names that are no codes."""
    result: Mapping[str, Sequence[str]] = _library().list_supported_countries(
        include_aliases=True
    )
    return result


def _unknown_part(country: str, subdivision: str, parts: Sequence[str]) -> str:
    start = f"{country} has no part {subdivision[:40]!r} with holidays of its own"
    if not parts:
        return f"{start}; use {country!r}"
    if (match := _same(subdivision, parts)) is not None:
        return f"{start}; did you mean '{country}-{match}'?"
    codes = ", ".join(parts[:_MANY])
    return f"{start}; use {country!r} or one of its parts: {codes}"


def _unknown(
    calendar: str, countries: Mapping[str, Sequence[str]], markets: Iterable[str]
) -> str:
    start = f"unknown holidays {calendar[:40]!r}"
    country, _, part = calendar.partition("-")
    names = {name.replace("_", " "): codes[1] for name, codes in _names()}
    match = _same(country, (*countries, *markets))
    if match is None and (name := near(country.lower(), names)) is not None:
        match = names[name]
    if match is not None:
        part = _same(part, countries.get(match, ())) or ""
        return f"{start}; did you mean {f'{match}-{part}'.rstrip('-')!r}?"
    two = sorted(code for code in countries if len(code) == 2)
    return (
        f"{start}; use the code of a country ({', '.join(two)}), one with a part of it, "
        f"such as DE-BY, or that of a market ({', '.join(sorted(markets))})"
    )


def _names() -> Iterable[tuple[str, Sequence[str]]]:
    """Return the names of countries with their codes."""
    names: Mapping[str, Sequence[str]] = import_module("holidays.registry").COUNTRIES
    return names.items()


def _same(word: str, choices: Iterable[str]) -> str | None:
    """Return the one of *choices* that *word* must mean, by case or a slip."""
    by_key = {choice.casefold(): choice for choice in choices}
    if (same := by_key.get(word.casefold())) is not None:
        return same
    # Codes of two letters are all alike.
    match = near(word.casefold(), by_key)
    return None if match is None else by_key[match]
