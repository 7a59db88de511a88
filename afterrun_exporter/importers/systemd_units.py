"""Unit files of systemd, with their drop-ins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from afterrun_exporter.importers.model import InputFile, Source, Unmapped

#: The line above each file in the output of `systemctl cat`.
_FILE = re.compile(r"# (/\S+\.(?:timer|service|conf))\s*")
_SECTION = re.compile(r"\[([^\]]+)\]\s*")
_SUFFIXES: Final = (".timer", ".service")
#: Directories, the most important first.
_DIRECTORIES: Final = (
    "/etc/", "/run/", "/usr/local/lib/", "/usr/lib/", "/lib/",
)  # fmt: skip

_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-zµμ]*)")
_UNITS: Final = {
    1e-6: "usec us µs μs",
    1e-3: "msec ms",
    1.0: "seconds second sec s",
    60.0: "minutes minute min m",
    3600.0: "hours hour hr h",
    86400.0: "days day d",
    7 * 86400.0: "weeks week w",
    30.4375 * 86400: "months month M",
    365.25 * 86400: "years year y",
}
_SECONDS: Final = {
    name: seconds for seconds, names in _UNITS.items() for name in names.split()
} | {"": 1.0}
_TRUE: Final = frozenset({"1", "yes", "y", "true", "t", "on"})


@dataclass(frozen=True, slots=True)
class Setting:
    """A line ``KEY=VALUE``."""

    section: str
    key: str
    value: str
    source: Source


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit with its drop-ins."""

    #: Such as ``backup.timer``.
    name: str
    source: Source
    settings: tuple[Setting, ...]

    def all(self, section: str, *keys: str) -> list[Setting]:
        """Return the settings of *keys* since the last empty value of each."""
        result: list[Setting] = []
        for one in self.settings:
            if one.section == section and one.key in keys:
                if not one.value:
                    result = [old for old in result if old.key != one.key]
                else:
                    result.append(one)
        return result

    def last(self, section: str, *keys: str) -> Setting | None:
        """Return the setting that is in force, or None."""
        settings = self.all(section, *keys)
        return settings[-1] if settings else None

    def text(self, section: str, key: str) -> str:
        """Return the value that is in force, or ""."""
        setting = self.last(section, key)
        return setting.value if setting else ""

    @property
    def instance(self) -> str | None:
        """The instance of a template, "" for the template itself; None for others."""
        stem = self.name.rpartition(".")[0]
        return stem.partition("@")[2] if "@" in stem else None

    def expanded(self, text: str) -> str:
        """Return *text* with the specifiers that the name of the unit decides."""
        stem = self.name.rpartition(".")[0]
        prefix, _, instance = stem.partition("@")
        values = {
            "%": "%",
            "n": self.name,
            "N": stem,
            "p": prefix,
            "P": _unescaped(prefix),
            "i": instance,
            "I": _unescaped(instance),
            "j": prefix.rpartition("-")[2],
            "J": _unescaped(prefix.rpartition("-")[2]),
        }
        return re.sub(r"%(.)", lambda m: values.get(m[1], m[0]), text)


def _unescaped(text: str) -> str:
    plain = text.replace("-", "/")
    return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), plain)


@dataclass(frozen=True, slots=True)
class _Fragment:
    """A unit file or a drop-in."""

    path: PurePosixPath
    file: str
    #: Numbered lines.
    lines: Sequence[tuple[int, str]]

    @property
    def unit(self) -> str:
        """The name of the unit."""
        if self.path.suffix == ".conf":
            return self.path.parent.name.removesuffix(".d")
        return self.path.name

    @property
    def rank(self) -> int:
        matches = (at for at, one in enumerate(_DIRECTORIES) if one in f"{self.path}")
        return next(matches, -1)


def units(files: Iterable[InputFile]) -> tuple[dict[str, Unit], list[Unmapped]]:
    """Return the units in *files* by name, and the lines that cannot be read."""
    fragments = [one for file in files for one in _fragments(file)]
    problems: list[Unmapped] = []
    main: dict[str, _Fragment] = {}
    for one in fragments:
        if one.path.suffix == ".conf":
            continue
        best = main.setdefault(one.unit, one)
        if one.rank < best.rank:
            main[one.unit] = one
    drop_ins = sorted(
        (one for one in fragments if one.path.suffix == ".conf"),
        key=lambda one: one.path.name,
    )
    result = {}
    for name, fragment in main.items():
        kind = name.rpartition(".")[2]
        template = f"{name.partition('@')[0]}@.{kind}" if "@" in name else name
        own = [one for one in drop_ins if one.unit in {name, template, kind}]
        settings = [
            setting for one in (fragment, *own) for setting in _settings(one, problems)
        ]
        first = fragment.lines[0][0] if fragment.lines else 1
        result[name] = Unit(name, Source(fragment.file, first), tuple(settings))
    for one in drop_ins:
        names = [*main, *(name.rpartition(".")[2] for name in main)]
        templates = [re.sub(r"@[^.]*\.", "@.", name) for name in main]
        is_timer = one.unit.endswith(".timer")
        if is_timer and one.unit not in {*names, *templates}:
            source = Source(one.file, one.lines[0][0] if one.lines else 0)
            problems.append(
                Unmapped(
                    source, one.path.name, f"changes {one.unit}, which is not given"
                )
            )
    return result, problems


def _fragments(file: InputFile) -> Iterator[_Fragment]:
    """Yield the unit files in *file*, which may be the output of `systemctl cat`."""
    path, lines = PurePosixPath(file.name), list[tuple[int, str]]()
    is_listing = False
    for number, line in enumerate(file.text.splitlines(), start=1):
        if match := _FILE.fullmatch(line):
            if is_listing:
                yield _Fragment(path, file.name, lines)
            path, lines, is_listing = PurePosixPath(match[1]), [], True
        else:
            lines.append((number, line))
    if path.suffix not in {*_SUFFIXES, ".conf"}:
        has_timer = any(line.strip() == "[Timer]" for _, line in lines)
        path = path.with_name(f"{path.name}{'.timer' if has_timer else '.service'}")
    yield _Fragment(path, file.name, lines)


def _settings(fragment: _Fragment, problems: list[Unmapped]) -> Iterator[Setting]:
    section, start, joined = "", 0, ""
    for number, line in fragment.lines:
        text = line.strip()
        if text.startswith(("#", ";")) or (not text and not joined):
            continue
        start = start if joined else number
        if line.rstrip(" \t").endswith("\\"):
            joined += text[:-1].rstrip() + " "
            continue
        text, joined = joined + text, ""
        if match := _SECTION.fullmatch(text):
            section = match[1]
            continue
        key, equals, value = text.partition("=")
        source = Source(fragment.file, start)
        if equals and section:
            yield Setting(section, key.strip(), value.strip(), source)
        elif text:
            problems.append(
                Unmapped(source, text, "is neither [SECTION] nor KEY=VALUE")
            )


def seconds(text: str) -> float | None:
    """Return the time span *text* in seconds; None for infinity.

    Raises ValueError if it is none.
    """
    if text.strip() == "infinity":
        return None
    total, position = 0.0, 0
    text = text.strip()
    while position < len(text):
        match = _SPAN.match(text, position)
        if match is None or match[2] not in _SECONDS:
            raise ValueError(f"{text!r} is not a time span of systemd")
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if not text:
        raise ValueError("the time span is empty")
    return total


def is_true(text: str) -> bool:
    """Return True if *text* is one of the words for it."""
    return text.lower() in _TRUE
