"""Writing of imported jobs as the text of afterrun.yml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from afterrun_exporter.config.loading import parse
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers import yaml_text
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    ImportedPolicy,
    Unmapped,
)


def render(imported: Imported) -> str:
    """Return *imported* as a whole afterrun.yml."""
    return "".join(text for _, text in _parts(imported))


def _parts(
    imported: Imported,
) -> Iterator[tuple[ImportedJob | ImportedPolicy | None, str]]:
    """Yield the pieces of the file, with the job or policy of each."""
    for key, value in sections(imported).items():
        yield None, "\n".join(yaml_text.entry(key, value)) + "\n\n"
    if imported.policies:
        yield None, "policies:\n"
        for policy in imported.policies:
            yield policy, "\n".join(policy_lines(policy, 2)) + "\n"
        yield None, "\n"
    yield None, "jobs:\n" if imported.jobs else "jobs: {}\n"
    for number, job in enumerate(imported.jobs):
        yield job, "\n" * (number > 0) + "\n".join(job_lines(job, 2)) + "\n"


def sections(imported: Imported) -> Mapping[str, object]:
    """Return the other sections, with ``labels:`` for all that the jobs set."""
    declared = imported.sections.get("labels")
    labels = list(declared) if isinstance(declared, list | tuple) else []
    items: tuple[ImportedJob | ImportedPolicy, ...]
    items = (*imported.policies, *imported.jobs)
    for one in items:
        keys = one.settings.get("labels")
        if isinstance(keys, Mapping):
            labels += [key for key in keys if key not in labels]
    if not labels:
        return imported.sections
    rest = {key: one for key, one in imported.sections.items() if key != "labels"}
    return {"labels": labels, **rest}


def job_lines(job: ImportedJob, indent: int) -> Iterator[str]:
    """Yield the lines of *job* as an entry of a block mapping."""
    yield from comments(job, indent)
    if job.settings:
        yield f"{' ' * indent}{yaml_text.scalar(job.name)}:"
        for key, value in job.settings.items():
            yield from yaml_text.entry(key, value, indent + 2)
    else:
        yield f"{' ' * indent}{yaml_text.scalar(job.name)}: {{}}"


def policy_lines(policy: ImportedPolicy, indent: int) -> Iterator[str]:
    """Yield the lines of *policy* as an item of a block list."""
    yield from comments(policy, indent)
    yield from yaml_text.item(policy.settings, indent)


def comments(one: ImportedJob | ImportedPolicy, indent: int) -> Iterator[str]:
    """Yield the comment above *one*: its source, and its own lines."""
    line = f", line {one.source.line}" if one.source.line else ""
    yield yaml_text.comment(f"from {one.source.file}{line}", indent)
    for text in one.comments:
        yield yaml_text.comment(text, indent)


def validated(imported: Imported) -> Imported:
    """Return *imported* without the jobs and policies that afterrun.yml refuses.

    They are unmapped, with the message for each. Raises ConfigError if another section
    is invalid.
    """
    while problems := _problems(imported):
        refused = {id(one): one for one, _ in problems}
        reasons = tuple(
            Unmapped(one.source, _title(one), f"not imported: {problem.message}")
            for one, problem in problems
        )
        imported = replace(
            imported,
            jobs=tuple(one for one in imported.jobs if id(one) not in refused),
            policies=tuple(one for one in imported.policies if id(one) not in refused),
            unmapped=(*imported.unmapped, *reasons),
        )
    return imported


def _problems(
    imported: Imported,
) -> list[tuple[ImportedJob | ImportedPolicy, Problem]]:
    """Return each problem of a job or a policy; raise ConfigError for all others."""
    try:
        parse(render(imported), on_disk=False)
    except ConfigError as error:
        owners = _owners(imported)
        located = [(owners.get(one.line), one) for one in error.problems]
        mapped = [(owner, one) for owner, one in located if owner is not None]
        if mapped:
            return mapped
        problems = [replace(one, line=0) for one in error.problems]
        raise ConfigError("afterrun.yml", problems) from None
    return []


def _owners(imported: Imported) -> dict[int, ImportedJob | ImportedPolicy]:
    """Return the job or policy on each line of the rendered file."""
    owners: dict[int, ImportedJob | ImportedPolicy] = {}
    line = 1
    for owner, text in _parts(imported):
        count = text.count("\n")
        if owner is not None:
            owners.update(dict.fromkeys(range(line, line + count), owner))
        line += count
    return owners


def _title(one: ImportedJob | ImportedPolicy) -> str:
    return one.name if isinstance(one, ImportedJob) else "policy"
