"""Schema of ``policies:``, settings for all jobs that match, and their application.

The job's own settings override policies, and later policies override earlier ones.
Lists and mappings are merged instead: rules, tags, labels, dependencies, alerts, push.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.schema import JobSpec
from afterrun_exporter.config.values import (
    DeclaredKey,
    Line,
    ListOf,
    MappingOf,
    NotEmpty,
    Pattern,
    Text,
)
from afterrun_exporter.core.patterns import compiled

#: Groups of keys: a layer with one of them overrides the whole group.
_TOGETHER: Final = (
    frozenset({"schedule", "oncalendar", "every"}),
    frozenset({"on_downtime", "after_downtime"}),
)


class MatchSpec(Spec):
    """``match:`` of a policy: a job must match all keys."""

    name: Annotated[Pattern | None, NotEmpty] = None
    tags: Annotated[tuple[Line, ...], ListOf] = ()
    project: Annotated[Line | None, NotEmpty] = None
    labels: Annotated[dict[DeclaredKey, Text], MappingOf] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_something(self) -> MatchSpec:
        if not self.model_fields_set:
            raise ValueError("matches nothing: for all jobs use defaults:")
        return self

    def matches(self, name: str, job: JobSpec) -> bool:
        """Return True if the job *name* with its own settings matches."""
        return self.search(name) and self.suits(job)

    @property
    def search(self) -> Callable[[str], bool]:
        """The search function for names."""
        return compiled(self.name or "").search

    def suits(self, job: JobSpec) -> bool:
        """Return True if *job* matches, apart from its name."""
        return (
            set(self.tags) <= set(job.tags)
            and self.project in {None, job.project}
            and self.labels.items() <= job.labels.items()
        )


class PolicySpec(JobSpec):
    """One of ``policies:``: keys of a job, and a match for jobs."""

    match: MatchSpec

    @model_validator(mode="after")
    def _names_no_job(self) -> PolicySpec:
        if self.ping_uuid is not None:
            raise ValueError("a ping_uuid belongs to one job: set it there")
        if self.display_name:
            raise ValueError("a display_name belongs to one job: set it there")
        return self


Layers = Sequence[PolicySpec]


def applied(name: str, job: JobSpec, policies: Layers) -> JobSpec:
    """Return *job* merged with the policies that match it."""
    layers = [policy for policy in policies if policy.match.matches(name, job)]
    return merged(job, layers) if layers else job


def by_name(job: JobSpec, policies: Layers) -> Callable[[str], Layers]:
    """Return a function that finds the policies that match *job* under a name."""
    # At startup this is called for every auto-registered job.
    named = [(one.match.search, one) for one in policies if one.match.suits(job)]
    return lambda name: [one for search, one in named if search(name)]


def merged(job: JobSpec, layers: Layers) -> JobSpec:
    """Return *job* merged with *layers*, policies that match it."""
    values: dict[str, Any] = {}
    for layer in (*layers, job):
        keys = layer.model_fields_set - {"match"}
        for group in _TOGETHER:
            if not keys.isdisjoint(group):
                for key in group:
                    values.pop(key, None)
        for key in sorted(keys):
            values[key] = _added(key, values.get(key), getattr(layer, key))
    return JobSpec.model_construct(set(values), **values)


def _added(key: str, before: Any, value: Any) -> Any:
    """Return the merged value of *key* from *before* and a later *value*."""
    if before is None or key not in _ADD_UP:
        return value
    return _ADD_UP[key](before, value)


def _by_key(before: Spec, value: Spec) -> Spec:
    layers = (before, value)
    values = {key: getattr(one, key) for one in layers for key in one.model_fields_set}
    return type(value).model_construct(set(values), **values)


def _last_of_each(attribute: str) -> Callable[[Any, Any], Any]:
    """Return a function that joins two tuples, and keeps the last of equal items."""
    name = attrgetter(attribute)
    return lambda one, two: tuple({name(item): item for item in (*one, *two)}.values())


#: Merge functions of keys whose later value does not replace the earlier one.
_ADD_UP: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "alerts": _by_key,
    "depends_on": _last_of_each("job"),
    "labels": lambda one, two: {**one, **two},
    "push": _by_key,
    "rules": _last_of_each("full_name"),
    "tags": lambda one, two: tuple(dict.fromkeys((*one, *two))),
}
