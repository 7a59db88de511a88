"""Jobs that are not in the file: what defaults, policies and their clients make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import DecodeError, json
from msgspec.structs import replace
from pydantic import ValidationError

from afterrun_exporter.config.error_messages import show
from afterrun_exporter.config.policies import PolicySpec, by_name, merged
from afterrun_exporter.config.problems import findings
from afterrun_exporter.config.schema import JobSpec
from afterrun_exporter.config.values import Declared
from afterrun_exporter.core.model import Job

#: Descriptions that are kept as they were read: programs give their jobs the same.
REMEMBERED: Final = 4096


def auto_registered(
    make: Callable[[JobSpec], Job],
    policies: Sequence[PolicySpec],
    declared: Declared,
) -> Callable[[str, str], Job]:
    """Return what makes the job of a name that the file does not know.

    Of what a client *says* of it, words of a job as a JSON object, everything counts
    as if it stood in the file; "" says nothing. Raises ValueError for words that the
    file could not have. *make* makes the job, whatever its name.
    """

    @lru_cache(REMEMBERED)
    def reading(said: str) -> tuple[JobSpec, Callable[[str], Sequence[PolicySpec]]]:
        spec = _spec(said, declared) if said else JobSpec()
        return spec, by_name(spec, policies)

    # Jobs that nothing is said of and that the same policies match differ in nothing
    # but their names.
    alike: dict[tuple[int, ...], Job] = {}

    def stranger(name: str, said: str) -> Job:
        spec, matching = reading(said)
        layers = matching(name)
        if said:
            return _described(make(merged(spec, layers)), name, spec)
        key = tuple(map(id, layers))
        if key not in alike:
            alike[key] = replace(make(merged(spec, layers)), configured=False)
        return replace(alike[key], name=name)

    return stranger


def _described(job: Job, name: str, spec: JobSpec) -> Job:
    described = replace(job, name=name, configured=False)
    if spec.max_runtime is None:
        return described
    # Only Sentry's clients set it. There a run has it anew from each sign of life, so
    # it is the heartbeat as well: defaults and policies must not shorten it.
    return replace(described, renews_runtime=True, heartbeat=spec.heartbeat)


def _spec(said: str, declared: Declared) -> JobSpec:
    try:
        data = json.decode(said)
    except DecodeError:
        raise ValueError("what is said of the job is not JSON") from None
    try:
        return JobSpec.model_validate(data, context=declared)
    except ValidationError as error:
        found = (
            f"{show(one.path)}: {one.message}" for one in findings(JobSpec, data, error)
        )
        raise ValueError("; ".join(found)) from None
