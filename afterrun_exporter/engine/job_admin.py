"""Administration of jobs: descriptions, pauses, retirement and test alerts.

`Decisions` makes the decisions, and the service applies them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from msgspec import json

from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.conventions import TEST_JOB
from afterrun_exporter.core.alerts import TEST
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import (
    USABLE,
    JobState,
    OpenAlert,
    Transition,
    Unusable,
)
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import (
    ConfiguredJobError,
    DescriptionError,
    JobChangedError,
    UnknownJobError,
)
from afterrun_exporter.storage.store import Change, Decide

#: A description of a job by a client: settings as in afterrun.yml, as plain data.
Description = Mapping[str, Any]


#: The most characters of a description in JSON.
MAX_DESCRIPTION: Final = 16_384

#: Settings of the schedule.
SCHEDULE: Final = ("schedule", "oncalendar", "timezone", "every")
#: Beginnings of problems that leave a job without a schedule, in all dialects.
_ABOUT_SCHEDULES: Final = (*SCHEDULE, "timeout", "tz", "monitor_config")

#: Settings that identify a job and its project; later descriptions keep them.
IDENTITY: Final = ("ping_uuid", "project", "display_name")


class JobAdmin:
    """Changes of the jobs of *service*, which are durable when a method returns.

    Every method raises UnknownJobError for a job that is not monitored, and StorageError
    if nothing could be recorded.
    """

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    @property
    def _job_config(self) -> JobConfig:
        return self._service.job_config

    async def pause(
        self,
        name: str,
        until: float | None = None,
        *,
        lasts: float = 0.0,
        resumes_on_ping: bool = False,
    ) -> None:
        """Pause a job for *lasts* seconds, until *until*, or until a client resumes it.

        Its alerts resolve. If *resumes_on_ping*, its next run also ends the pause.
        """
        async with self._service.changing:
            decide = self._service.decisions.pause(
                name,
                self._clock.now(),
                until,
                lasts=lasts,
                resumes_on_ping=resumes_on_ping,
            )
            await self._apply(name, decide)

    async def resume(self, name: str) -> None:
        """Resume monitoring of a job; no effect if it is not paused.

        Raises ConfiguredJobError if the configuration disables it.
        """
        async with self._service.changing:
            job = self._service.described(name)
            if job is not None and not job.enabled:
                raise ConfiguredJobError(
                    f"job {name!r} has 'enabled: false' in afterrun.yml; change it there"
                )
            decide = self._service.decisions.resume(name, self._clock.now())
            await self._apply(name, decide)

    async def retire(self, name: str) -> None:
        """Stop monitoring a job until its next ping.

        Raises ConfiguredJobError if it is defined in the configuration.
        """
        async with self._service.changing:
            if name in self._job_config.jobs:
                raise ConfiguredJobError(
                    f"job {name!r} is defined in afterrun.yml; remove it there"
                )
            if self._service.job(name) is None:
                raise UnknownJobError(self._job_config.unknown_job(name))
            await self._apply(name, self._service.decisions.retire(self._clock.now()))

    async def announce_successes(
        self, names: Collection[str], among: Collection[str] | None = None
    ) -> None:
        """Make the jobs *names* announce successful runs, and no others of *among*.

        *among* are all jobs by default.
        """
        async with self._service.changing:
            now, service = self._clock.now(), self._service
            decisions = service.decisions
            changes = [
                Change(name, decisions.announce(name, now, successes=announces))
                async for name in cooperatively(
                    service.all_names() if among is None else among
                )
                if (entry := service.job_and_state(name)) is not None
                and (announces := name in names) is not entry[1].announces_success
            ]
            await self._service.apply(changes)

    async def describe(
        self, name: str, description: Description, unusable: Unusable = USABLE
    ) -> Job:
        """Apply a client's description of a job; return the job.

        An unknown job is registered. Settings of `IDENTITY` are kept unless the description
        has them. Raises ConfiguredJobError if the job is defined in the configuration;
        DescriptionError with the problems of the description; UnknownJobError if no job
        may be registered. The *unusable* part of the description is stored to be shown.
        """
        (job,) = await self.describe_all({name: description}, {name: unusable})
        return job

    async def describe_all(
        self,
        descriptions: Mapping[str, Description],
        unusable: Mapping[str, Unusable] = MappingProxyType({}),
    ) -> list[Job]:
        """Apply descriptions of several jobs, all of them or none; see `describe`."""
        try:
            return await self._describe_all(descriptions, unusable)
        except JobChangedError:
            await self._service.catch_up()
            return await self._describe_all(descriptions, unusable)

    async def create(self, name: str, description: Description) -> Job:
        """Apply the description of a new job, as `describe` does.

        Raises JobChangedError if another replica has just created it.
        """
        (job,) = await self._describe_all({name: description}, {}, is_new=True)
        return job

    async def _describe_all(
        self,
        descriptions: Mapping[str, Description],
        unusable: Mapping[str, Unusable],
        *,
        is_new: bool = False,
    ) -> list[Job]:
        async with self._service.changing:
            for name in descriptions:
                # Another replica may have created it while this request waited.
                if is_new and self._service.job(name) is not None:
                    raise JobChangedError(
                        f"job {name!r} was created by another request at the same "
                        "time: send it again"
                    )
            texts = {
                name: self._description_text(name, description)
                for name, description in descriptions.items()
            }
            jobs = self._described(texts)
            now = self._clock.now()
            decisions = self._service.decisions
            rest = {name: unusable.get(name, USABLE) for name in jobs}
            changes = [
                Change(name, decisions.describe(job, texts[name], now, rest[name]))
                for name, job in jobs.items()
                if not self._is_described_as(name, texts[name], rest[name])
            ]
            # The limit of jobs was checked, so an error now is an internal one.
            for result in await self._service.apply(changes):
                if isinstance(result, Exception):
                    raise result
            for change in changes:
                self._service.register(jobs[change.job])
            return [self._service.job(name) or job for name, job in jobs.items()]

    def check(self, name: str, description: Description) -> None:
        """Raise the errors of `describe` for these settings, without changes."""
        self._described({name: self._description_text(name, description)})

    def usable(
        self, name: str, description: Description, problems: Sequence[str] = ()
    ) -> tuple[dict[str, Any], Unusable]:
        """Return the valid settings of a description, and the invalid ones with *problems*.

        An invalid schedule keeps the previous one. Raises the errors of `describe`
        except DescriptionError.
        """
        try:
            self.check(name, description)
            usable = dict(description)
        except DescriptionError:
            problems, usable = list(problems), {}
            for part in _parts(description):
                try:
                    self.check(name, part)
                    usable |= part
                except DescriptionError as error:
                    problems.append(str(error))
        lacks_schedule = any(one.startswith(_ABOUT_SCHEDULES) for one in problems)
        if lacks_schedule:
            previous = self.description(name)
            usable |= {key: previous[key] for key in SCHEDULE if key in previous}
        return usable, Unusable("; ".join(problems), lacks_schedule)

    def description(self, name: str) -> dict[str, Any]:
        """Return the settings in the client's description of the job *name*."""
        state = self._service.state(name)
        return (
            dict(json.decode(state.client_settings))
            if state and state.client_settings
            else {}
        )

    async def test_alert(
        self, name: str | None, seconds: float, severity: str = ""
    ) -> OpenAlert:
        """Open a test alert, which resolves by itself.

        It belongs to the job *name*, or to a temporary job, and has the severity of that
        job by default.
        """
        now = self._clock.now()
        job = self._service.job(name or TEST_JOB)
        if job is None:
            if name is not None:
                raise UnknownJobError(self._job_config.unknown_job(name))
            job = self._job_config.nameless(TEST_JOB)
        decide = self._service.decisions.test(job, now, seconds, severity)
        state = await self._apply(job.name, decide)
        if self._service.job(job.name) is None:
            self._service.register(job)
        return next(one for one in state.alerts if one.key == TEST)

    def _description_text(self, name: str, description: Description) -> str:
        previous = self.description(name)
        identity: dict[str, Any] = {
            key: previous[key] for key in IDENTITY if key in previous
        }
        return _encoded({**identity, **description})

    def _is_described_as(self, name: str, text: str, unusable: Unusable) -> bool:
        if (entry := self._service.job_and_state(name)) is None:
            return False
        state = entry[1]
        now = (state.client_settings, state.unusable, state.lacks_schedule)
        return now == (text, *unusable)

    def _described(self, texts: Mapping[str, str]) -> dict[str, Job]:
        """Return the described jobs by name; raise an error for an invalid one."""
        job_config, job_registry = (
            self._job_config,
            self._service.decisions.job_registry,
        )
        new = [name for name in texts if self._service.job(name) is None]
        if len(job_registry.auto_registered(new)) < len(new):
            raise UnknownJobError(job_config.refusal(new[0]))
        return {name: self._job_for(name, text) for name, text in texts.items()}

    def _job_for(self, name: str, text: str) -> Job:
        if name in self._job_config.jobs:
            raise ConfiguredJobError(
                f"job {name!r} is defined in afterrun.yml; change it there"
            )
        unknown = self._job_config.unknown
        if unknown is None:
            raise UnknownJobError(self._job_config.refusal(name))
        if len(text) > MAX_DESCRIPTION:
            raise DescriptionError(
                f"the description has {len(text)} characters: use at most "
                f"{MAX_DESCRIPTION}"
            )
        try:
            return unknown(name, text)
        except ValueError as error:
            raise DescriptionError(str(error)) from None

    async def _apply(self, name: str, decide: Decide) -> JobState:
        (result,) = await self._service.apply([Change(name, decide)])
        if isinstance(result, Transition):
            return result.state
        raise result


def _parts(description: Description) -> Iterator[dict[str, Any]]:
    """Yield the parts of a description that are valid independently of each other."""
    if when := {key: description[key] for key in SCHEDULE if key in description}:
        yield when
    for key, value in description.items():
        if key not in SCHEDULE:
            yield {key: value}


def _encoded(description: Description) -> str:
    """Return *description* as stored in a state; "" for none."""
    try:
        return (
            json.encode(description, order="deterministic").decode()
            if description
            else ""
        )
    except UnicodeEncodeError:
        raise DescriptionError(
            "a text in the description cannot be encoded in UTF-8"
        ) from None
