"""Auto-registered jobs, from defaults, policies and the settings of their clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import DecodeError, json
from msgspec.structs import replace
from pydantic import ValidationError

from afterrun_exporter.config.policies import PolicySpec, by_name, merged
from afterrun_exporter.config.schema import JobSpec
from afterrun_exporter.config.values import Declared
from afterrun_exporter.core.model import Job
from afterrun_exporter.validation_messages import findings

#: Cached descriptions, because clients send the same description for many jobs.
REMEMBERED: Final = 4096


def auto_registered(
    make: Callable[[JobSpec], Job],
    policies: Sequence[PolicySpec],
    declared: Declared,
) -> Callable[[str, str], Job]:
    """Return a function that creates a job for a name that is not in the file.

    Its second argument is the client's description of the job: a JSON object with the
    keys of a job in the file, or "". It raises ValueError for an invalid description.
    *make* creates a job without a name.
    """

    @lru_cache(REMEMBERED)
    def parse(text: str) -> tuple[JobSpec, Callable[[str], Sequence[PolicySpec]]]:
        spec = _spec(text, declared) if text else JobSpec()
        return spec, by_name(spec, policies)

    # Jobs without a description that match the same policies differ only in their names.
    alike: dict[tuple[int, ...], Job] = {}

    def job_of(name: str, text: str) -> Job:
        spec, matching = parse(text)
        layers = matching(name)
        if text:
            return _described(make(merged(spec, layers)), name, spec)
        key = tuple(map(id, layers))
        if key not in alike:
            alike[key] = replace(make(merged(spec, layers)), configured=False)
        return replace(alike[key], name=name)

    return job_of


def _described(job: Job, name: str, spec: JobSpec) -> Job:
    described = replace(job, name=name, configured=False)
    if spec.max_runtime is None:
        return described
    # Only Sentry clients set it. There it restarts with each sign of life, so
    # it is also the heartbeat: defaults and policies must not shorten it.
    return replace(described, renews_runtime=True, heartbeat=spec.heartbeat)


def _spec(text: str, declared: Declared) -> JobSpec:
    try:
        data = json.decode(text)
    except DecodeError:
        raise ValueError("the description of the job is not JSON") from None
    try:
        return JobSpec.model_validate(data, context=declared)
    except ValidationError as error:
        problems = map(str, findings(JobSpec, data, error))
        raise ValueError("; ".join(problems)) from None
