"""What people and programs do to jobs besides reporting for them.

Nothing is decided here: the judge decides, and the service makes it so.
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
    UnknownJobError,
)
from afterrun_exporter.storage.store import Change, Decide

#: Words of afterrun.yml that describe a job, as plain data.
Words = Mapping[str, Any]


#: Characters of a description, in JSON.
MAX_DESCRIPTION: Final = 16_384

#: Words that say when a job is due.
SCHEDULE: Final = ("schedule", "timezone", "every")
#: How problems begin for which a job lacks its schedule, by the words of all dialects.
_ABOUT_SCHEDULES: Final = (*SCHEDULE, "timeout", "tz", "monitor_config")

#: Words by which a job is reached, and whose it is: no other description undoes them.
IDENTITY: Final = ("ping_uuid", "project", "display_name")


class JobAdmin:
    """The jobs of *service*, to be described, paused, removed and tried out.

    What is answered for is on disk. Every method raises UnknownJobError for a job
    that is not watched, and StorageError if nothing could be recorded.
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

        Its alerts resolve. Where it *resumes_on_ping*, its next run is as good.
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
        """Watch a job again; nothing happens to one that is not paused."""
        async with self._service.changing:
            decide = self._service.decisions.resume(name, self._clock.now())
            await self._apply(name, decide)

    async def retire(self, name: str) -> None:
        """Watch a job no more, until it pings again.

        Raises ConfiguredJobError where the configuration names it.
        """
        async with self._service.changing:
            if name in self._job_config.jobs:
                raise ConfiguredJobError(
                    f"job {name!r} stands in the configuration: remove it there"
                )
            if self._service.job(name) is None:
                raise UnknownJobError(self._job_config.unknown_job(name))
            await self._apply(name, self._service.decisions.retire(self._clock.now()))

    async def announce_successes(
        self, names: Collection[str], among: Collection[str] | None = None
    ) -> None:
        """Make the jobs *names* announce their ok runs, and no others *among* these.

        *among* are all jobs by default.
        """
        async with self._service.changing:
            now, decisions, service = (
                self._clock.now(),
                self._service.decisions,
                self._service,
            )
            watched = (
                list(service.watched())
                if among is None
                else [known for name in among if (known := service.known(name))]
            )
            changes = [
                Change(job.name, decisions.announce(job.name, now, successes=wanted))
                async for job, state in cooperatively(watched)
                if (wanted := job.name in names) is not state.announces_success
            ]
            await self._service.apply(changes)

    async def describe(
        self, name: str, words: Words, unusable: Unusable = USABLE
    ) -> Job:
        """Have a job be what its client says of it; return it, as it is watched.

        It is registered if it is not known. By what it is reached, `IDENTITY`, stays
        as it was where *words* do not say. Raises ConfiguredJobError where the
        configuration names the job, whose words count; DescriptionError, saying what
        is wrong with *words*; UnknownJobError where no job may be registered. What is
        *unusable* of the description is kept, for people to see.
        """
        (job,) = await self.describe_all({name: words}, {name: unusable})
        return job

    async def describe_all(
        self,
        told: Mapping[str, Words],
        unusable: Mapping[str, Unusable] = MappingProxyType({}),
    ) -> list[Job]:
        """Do what `describe` does with several jobs: with all of them, or none."""
        async with self._service.changing:
            said = {name: self._said(name, words) for name, words in told.items()}
            jobs = self._described(said)
            now = self._clock.now()
            decisions = self._service.decisions
            rest = {name: unusable.get(name, USABLE) for name in jobs}
            changes = [
                Change(name, decisions.describe(job, said[name], now, rest[name]))
                for name, job in jobs.items()
                if not self._is_said(name, said[name], rest[name])
            ]
            # Room has been looked for: what is refused now is a mistake of ours.
            for made in await self._service.apply(changes):
                if isinstance(made, Exception):
                    raise made
            for change in changes:
                self._service.register(jobs[change.job])
            return [self._service.job(name) or job for name, job in jobs.items()]

    def check(self, name: str, words: Words) -> None:
        """Raise what `describe` would raise for these words; change nothing."""
        self._described({name: self._said(name, words)})

    def usable(
        self, name: str, words: Words, problems: Sequence[str] = ()
    ) -> tuple[dict[str, Any], Unusable]:
        """Return what can be used of *words*, and what cannot, besides *problems*.

        A schedule that cannot be used leaves the one that was said before. Raises what
        `describe` raises but for DescriptionError.
        """
        try:
            self.check(name, words)
            usable = dict(words)
        except DescriptionError:
            problems, usable = list(problems), {}
            for part in _parts(words):
                try:
                    self.check(name, part)
                    usable |= part
                except DescriptionError as error:
                    problems.append(str(error))
        lacks_schedule = any(one.startswith(_ABOUT_SCHEDULES) for one in problems)
        if lacks_schedule:
            known = self.words(name)
            usable |= {word: known[word] for word in SCHEDULE if word in known}
        return usable, Unusable("; ".join(problems), lacks_schedule)

    def words(self, name: str) -> dict[str, Any]:
        """Return what a client has said of the job *name*."""
        state = self._service.state(name)
        return dict(json.decode(state.said)) if state and state.said else {}

    async def test_alert(
        self, name: str | None, seconds: float, severity: str = ""
    ) -> OpenAlert:
        """Open an alert that ends by itself, to see that it arrives.

        It is one of the job *name*, or of a job made for it, and has that job's
        severity unless told otherwise.
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

    def _said(self, name: str, words: Words) -> str:
        known = self.words(name)
        kept: dict[str, Any] = {word: known[word] for word in IDENTITY if word in known}
        return _written({**kept, **words})

    def _is_said(self, name: str, said: str, unusable: Unusable) -> bool:
        if (known := self._service.known(name)) is None:
            return False
        state = known[1]
        now = (state.said, state.unusable, state.lacks_schedule)
        return now == (said, *unusable)

    def _described(self, said: Mapping[str, str]) -> dict[str, Job]:
        """Return the jobs by name, as they will be; raise for what cannot be."""
        job_config, job_registry = (
            self._job_config,
            self._service.decisions.job_registry,
        )
        new = [name for name in said if self._service.job(name) is None]
        if job_config.unknown is None or len(job_registry.auto_registered(new)) < len(
            new
        ):
            refused = new[0] if new else next(iter(said), "")
            if refused not in job_config.jobs:
                raise UnknownJobError(job_config.refusal(refused))
        return {name: self._made(name, words) for name, words in said.items()}

    def _made(self, name: str, said: str) -> Job:
        if name in self._job_config.jobs:
            raise ConfiguredJobError(
                f"job {name!r} stands in the configuration, whose words count"
            )
        unknown = self._job_config.unknown
        if unknown is None:
            raise UnknownJobError(self._job_config.refusal(name))
        if len(said) > MAX_DESCRIPTION:
            raise DescriptionError(
                f"the description has {len(said)} characters: at most "
                f"{MAX_DESCRIPTION} are taken"
            )
        try:
            return unknown(name, said)
        except ValueError as error:
            raise DescriptionError(str(error)) from None

    async def _apply(self, name: str, decide: Decide) -> JobState:
        (made,) = await self._service.apply([Change(name, decide)])
        if isinstance(made, Transition):
            return made.state
        raise made


def _parts(words: Words) -> Iterator[dict[str, Any]]:
    """Yield the parts of a description that can be used without each other."""
    if when := {word: words[word] for word in SCHEDULE if word in words}:
        yield when
    for word, value in words.items():
        if word not in SCHEDULE:
            yield {word: value}


def _written(words: Words) -> str:
    """Return *words* as a state keeps them; "" for none."""
    try:
        return json.encode(words, order="deterministic").decode() if words else ""
    except UnicodeEncodeError:
        raise DescriptionError("a text in it cannot be written in UTF-8") from None
