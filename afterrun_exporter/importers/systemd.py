"""Jobs from timers of systemd."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from afterrun_exporter.config.values import LONGEST
from afterrun_exporter.core.crontab import check_zone
from afterrun_exporter.core.units import format_duration, parse_duration
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers.command_names import Reported, reported
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    InputFile,
    Source,
    Unmapped,
)
from afterrun_exporter.importers.names import job_name, unique_names
from afterrun_exporter.importers.systemd_units import (
    Setting,
    Unit,
    is_true,
    seconds,
    units,
)

_CALENDAR: Final = "OnCalendar"
#: Triggers that start the unit again and again.
_REPEATED: Final = ("OnUnitActiveSec", "OnUnitInactiveSec")
#: Triggers that start the unit once.
_ONCE: Final = ("OnBootSec", "OnStartupSec", "OnActiveSec")
_TRIGGERS: Final = frozenset({_CALENDAR, *_REPEATED, *_ONCE})
_CHANGES: Final = ("OnClockChange", "OnTimezoneChange")
#: Delays of a start after its time, and the default of systemd.
_ACCURACY: Final = "1min"
#: The grace of a job without further delays, as by default.
_GRACE: Final = parse_duration("5m")
#: Delays of a start after its time.
_DELAYS: Final = ("RandomizedDelaySec", "RandomizedOffsetSec", "AccuracySec")
#: Commands of a service, which can report its runs.
_COMMANDS: Final = (
    "ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop", "ExecStopPost"
)  # fmt: skip
#: Types of services whose process can be another one.
_WRAPPABLE: Final = frozenset({"", "simple", "exec", "oneshot", "idle"})
_COMMENT = re.compile(r"\s#")
_NO_COMMENT: Final = (
    "systemd reads the comment as part of the value, and ignores the line: put the "
    "comment on a line of its own"
)
_PREFIX = re.compile(r"[-@:+!|]*")


@dataclass(frozen=True, slots=True)
class DropIn:
    """A file that makes a service report."""

    path: str
    text: str


def read(
    files: Sequence[InputFile], *, zone: str = "", afterrun: str = "/usr/bin/afterrun"
) -> Imported:
    """Return the jobs of the timers in *files*."""
    return imported(files, zone=zone, afterrun=afterrun)[0]


def imported(
    files: Sequence[InputFile], *, zone: str, afterrun: str, prefix: str = ""
) -> tuple[Imported, tuple[DropIn, ...]]:
    """Return the jobs of the timers in *files*, and drop-ins for their services.

    *zone* is the time zone of the machine, "" if it is unknown. *prefix* is before the
    names of timers. Raises ConfigError if
    there is no timer.
    """
    by_name, problems = units(files)
    timers = [unit for name, unit in by_name.items() if name.endswith(".timer")]
    if not timers:
        file = files[0].name if files else "systemd"
        message = "has no timer: give *.timer files, and their *.service files"
        raise ConfigError(file, [Problem(0, "", message)])
    used = [timer for timer in timers if _is_usable(timer, problems)]
    readers = [_Timer(timer, by_name, zone, problems) for timer in used]
    names = unique_names([reader.name(prefix) for reader in readers])
    jobs: list[ImportedJob] = []
    drop_ins: dict[str, DropIn] = {}
    for timer, reader, name in zip(used, readers, names, strict=True):
        settings = dict(reader.settings())
        drop_in = reader.drop_in(name, afterrun)
        jobs.append(ImportedJob(name, settings, reader.source, tuple(reader.comments)))
        if (
            drop_in is not None
            and drop_ins.setdefault(drop_in.path, drop_in) != drop_in
        ):
            reason = (
                f"starts the same service as another timer: {drop_in.path} is for that"
            )
            problems.append(Unmapped(reader.source, timer.name, reason))
    result = Imported(tuple(jobs), unmapped=tuple(sorted(problems)))
    return result, tuple(drop_ins.values())


def _is_usable(timer: Unit, problems: list[Unmapped]) -> bool:
    reason = ""
    if not timer.settings:
        reason = "is empty, so the timer is masked"
    elif timer.instance == "":
        prefix = timer.name.partition("@")[0]
        reason = (
            "is a template: import its instances, as files or links with names such as "
            f"{prefix}@NAME.timer"
        )
    if reason:
        problems.append(Unmapped(timer.source, timer.name, reason))
    return not reason


class _Timer:
    """Reads one timer."""

    def __init__(
        self,
        timer: Unit,
        by_name: Mapping[str, Unit],
        zone: str,
        problems: list[Unmapped],
    ) -> None:
        self._timer = timer
        self._zone = zone
        self._problems = problems
        self.comments: list[str] = []
        stem = timer.name.removesuffix(".timer")
        target = timer.expanded(timer.text("Timer", "Unit")) or f"{stem}.service"
        template = f"{target.partition('@')[0]}@.service" if "@" in target else ""
        service = by_name.get(target) or by_name.get(template)
        self._service_name = target
        if service is not None and service.name == template:
            service = Unit(target, service.source, service.settings)
        self._service = service
        commands = service.all("Service", *_COMMANDS) if service else []
        self._reported: Reported | None = next(
            (own for one in commands if (own := reported(one.value)) is not None), None
        )

    def name(self, prefix: str) -> str:
        """Return the name with which the service reports already, or the timer's."""
        own = self._reported.name if self._reported else ""
        return job_name(own or f"{prefix}{self._timer.name.removesuffix('.timer')}")

    @property
    def source(self) -> Source:
        """The line of the first trigger."""
        triggers = self._triggers()
        return triggers[0].source if triggers else self._timer.source

    def settings(self) -> Iterator[tuple[str, Any]]:
        """Yield the keys and values of the job."""
        if description := self._description():
            yield "description", description
        yield from self._schedule()
        if self._service is None:
            self.comments.append(f"{self._service_name} is not among the files")
        elif (limit := self._max_runtime(self._service)) is not None:
            yield "max_runtime", format_duration(limit)
        if self._reported:
            self.comments.append(f"reports already, through {self._reported.through}")
            if self._reported.ping_uuid:
                yield "ping_uuid", self._reported.ping_uuid

    def _description(self) -> str:
        units_ = [unit for unit in (self._service, self._timer) if unit is not None]
        texts = (unit.expanded(unit.text("Unit", "Description")) for unit in units_)
        text = next((text for text in texts if text), "")
        return "".join(c for c in text if c.isprintable())

    def _triggers(self) -> list[Setting]:
        """Return the triggers since the last empty one, which resets all of them."""
        result: list[Setting] = []
        for one in self._timer.settings:
            if one.section != "Timer" or _COMMENT.search(one.value):
                continue
            if one.key in _TRIGGERS:
                result = [*result, one] if one.value else []
        return result

    def _schedule(self) -> Iterator[tuple[str, Any]]:
        triggers = self._triggers()
        calendar = [one for one in triggers if one.key == _CALENDAR]
        repeated = [one for one in triggers if one.key in _REPEATED]
        for one in self._timer.settings:
            if one.section == "Timer" and _COMMENT.search(one.value):
                self._unmapped(one, _NO_COMMENT)
        for key in _CHANGES:
            setting = self._timer.last("Timer", key)
            if setting and is_true(setting.value):
                self._unmapped(setting, "a run after such a change is not expected")
        if calendar:
            for one in repeated:
                reason = "is not imported: OnCalendar= decides when runs are due"
                self._unmapped(one, reason)
            yield from self._calendar(calendar)
        elif repeated:
            yield from self._every(repeated)
            return
        elif triggers:
            self._unmapped(triggers[-1], "runs once: imported without a schedule")
            return
        else:
            self._problems.append(
                Unmapped(
                    self._timer.source,
                    self._timer.name,
                    "has no trigger: imported without a schedule",
                )
            )
            return
        if is_true(self._timer.text("Timer", "Persistent")):
            self.comments.append(
                "Persistent=: a run that was missed while the machine was off starts "
                "after boot"
            )

    def _calendar(self, calendar: Sequence[Setting]) -> Iterator[tuple[str, Any]]:
        split = [_without_zone(self._timer.expanded(one.value)) for one in calendar]
        zones = {zone or self._zone for _, zone in split}
        has_several = len(zones) > 1
        expressions = list(
            dict.fromkeys(
                f"{text} {zone}" if has_several and zone else text
                for text, zone in split
            )
        )
        yield "oncalendar", expressions if len(expressions) > 1 else expressions[0]
        zone = self._zone if has_several else zones.pop()
        is_default = not all(zone for _, zone in split)
        if zone and (is_default or not has_several):
            yield "timezone", zone
        if is_default:
            where = "of this machine" if zone else "unknown: set it unless it is UTC"
            self.comments.append(f"timezone {where}")
        yield from self._grace()

    def _every(self, repeated: Sequence[Setting]) -> Iterator[tuple[str, Any]]:
        periods = [
            period for one in repeated if (period := self._seconds(one)) is not None
        ]
        if not periods:
            return
        period = min(periods)
        if not 1 <= period <= LONGEST:
            self._unmapped(repeated[0], "is out of range: imported without a schedule")
            return
        yield "every", format_duration(math.ceil(period))
        yield from self._grace()

    def _grace(self) -> Iterator[tuple[str, str]]:
        """Yield the grace if a run may start later than at its time."""
        delays = [(key, self._timer.last("Timer", key)) for key in _DELAYS]
        if all(setting is None for _, setting in delays):
            return
        total = _GRACE
        parts = []
        for key, setting in delays:
            value = seconds(_ACCURACY) if setting is None else self._duration(setting)
            if setting is None and key != "AccuracySec":
                continue
            total += value or 0.0
            parts.append(f"{key} {setting.value if setting else _ACCURACY}")
        if total <= LONGEST:
            yield "grace", format_duration(math.ceil(total))
            self.comments.append(
                f"grace: {format_duration(_GRACE)}, {', '.join(parts)}"
            )

    def _max_runtime(self, service: Unit) -> float | None:
        """Return the seconds after which systemd ends a run, or None."""
        is_oneshot = service.text("Service", "Type") == "oneshot"
        keys = ("TimeoutStartSec", "TimeoutSec") if is_oneshot else ("RuntimeMaxSec",)
        setting = service.last("Service", *keys)
        if setting is None:
            return None
        # 0 is infinity for the timeout of a start.
        return self._duration(setting) or None

    def _duration(self, setting: Setting) -> float | None:
        """Return the seconds of *setting*; None for infinity and what is reported."""
        value = self._seconds(setting)
        if value is not None and value > LONGEST:
            self._unmapped(setting, "is longer than ten years: not imported")
            return None
        return value

    def _seconds(self, setting: Setting) -> float | None:
        try:
            return seconds(setting.value)
        except ValueError as error:
            self._unmapped(setting, str(error))
            return None

    def _unmapped(self, setting: Setting, reason: str) -> None:
        text = f"{setting.key}={setting.value}"
        self._problems.append(Unmapped(setting.source, text, reason))

    def drop_in(self, name: str, afterrun: str) -> DropIn | None:
        """Return the drop-in with `afterrun exec` before the command of the service."""
        service = self._service
        if service is None:
            return None
        commands = service.all("Service", "ExecStart")
        if not commands or self._reported is not None:
            return None
        first = commands[0]
        prefix = (_PREFIX.match(first.value) or [""])[0]
        kind = service.text("Service", "Type")
        reason = ""
        if len(commands) > 1 or re.search(r"(?:^|\s);(?:\s|$)", first.value):
            reason = "it is several commands: put them into a script"
        elif "@" in prefix or "|" in prefix:
            reason = f"its prefix {prefix} is for the program itself"
        elif kind not in _WRAPPABLE:
            reason = f"Type={kind} needs the process itself"
        if reason:
            self._unmapped(first, f"gets no drop-in: {reason}")
            return None
        if is_true(service.text("Service", "PrivateNetwork")):
            self.comments.append(
                "PrivateNetwork=: afterrun exec cannot reach the daemon"
            )
        program = afterrun.replace("%", "%%")
        if re.search(r"[\s\"'\\$;]", program):
            program = '"' + re.sub(r'(["\\])', r"\\\1", program) + '"'
        command = (
            f"{prefix}{program} exec {name} -- {first.value[len(prefix) :].strip()}"
        )
        text = f"[Service]\nExecStart=\nExecStart={command}\n"
        return DropIn(f"{service.name}.d/afterrun.conf", text)


def _without_zone(expression: str) -> tuple[str, str]:
    """Return a calendar expression without its time zone, and that zone or ""."""
    rest, _, last = expression.rpartition(" ")
    try:
        check_zone(last)
    except ValueError:
        return " ".join(expression.split()), ""
    return (" ".join(rest.split()), last) if rest else (expression, "")
