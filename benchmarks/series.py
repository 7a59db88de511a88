"""What does a job add to a scrape? Samples and bytes, by family.

Nothing is timed: the numbers do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from afterrun_exporter import config
from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Job, Ping, Settings
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.transitions import on_ping, registered
from afterrun_exporter.exposition.compression import pack
from afterrun_exporter.exposition.encoders import Shape
from afterrun_exporter.exposition.exposed_job import ExposedJob
from afterrun_exporter.exposition.families import FAMILIES
from afterrun_exporter.ingest.reports import ping_of
from benchmarks.rounds import table

#: Jobs that are compressed together.
JOBS: Final = 1000
NOW: Final = 1_795_996_800.0

#: A job with a schedule, and one with a series in every family that has one without
#: an open alert.
PLAIN: Final = '{schedule: "0 2 * * *"}'
FULL: Final = """{
    schedule: "0 2 * * *", max_runtime: 1h, labels: {team: data},
    rules: [rows_processed > 0, file_size_bytes > 1KiB, tables > 10],
    alerts: {success_ratio: {below: 80%, over: 7d},
             slower_than: {factor: 2, than: median, over: 7d}},
    concurrency: {max: 1}, depends_on: [ingest]}"""
METRICS: Final = ("rows_processed", "file_size_bytes", "tables")

HEAD: Final = ("family", "samples", "bytes", "samples", "bytes")


def jobs(settings: str, metrics: Sequence[str], labels: str = "") -> list[ExposedJob]:
    """Return jobs with these *settings* after a run that reported *metrics*."""
    text = f"labels: [{labels}]\njobs:\n  ingest: {{every: 1h}}\n" + "".join(
        f"  nightly-backup-{number:03d}: {settings}\n" for number in range(JOBS)
    )
    job_config = config.parse(text).job_config
    vary = Random(JOBS)  # noqa: S311 - nothing here is secret
    return [
        ExposedJob(
            job,
            _after_a_run(job, job_config.settings, metrics, vary),
            job_config.settings,
        )
        for name, job in job_config.jobs.items()
        if name != "ingest"
    ]


def _after_a_run(
    job: Job, settings: Settings, metrics: Sequence[str], vary: Random
) -> JobState:
    values = {metric: vary.randrange(2000, 10**6) for metric in metrics}
    fields = {"duration_ms": vary.randrange(10**6), "metrics": values}
    at = NOW + vary.randrange(3600)
    ping: Ping = ping_of(job.name, fields, at=at, fingerprint=b"", metrics_limit=50)[0]
    return on_ping(job, registered(job, NOW), ping, settings).state


def rows(kinds: Sequence[Sequence[ExposedJob]]) -> Iterator[tuple[str, ...]]:
    """Yield the samples and bytes of a job of each kind, by family and in total."""
    for family in FAMILIES:
        yield family.name, *_cells(kinds, [family])
    yield "all", *_cells(kinds, FAMILIES)
    rest = [one for one in FAMILIES if one.name in names.NEEDED_BY]
    yield "those that cannot be disabled", *_cells(kinds, rest)


def _cells(
    kinds: Sequence[Sequence[ExposedJob]], families: Sequence[Shape]
) -> Iterator[str]:
    for subjects in kinds:
        text = _text(subjects, families)
        yield f"{len(text.splitlines()) / JOBS:.3g}"
        yield f"{len(text) / JOBS:,.0f}"


def _text(subjects: Sequence[ExposedJob], families: Sequence[Shape]) -> bytes:
    return b"".join("".join(one.lines(subjects)).encode() for one in families)


def main() -> int:
    kinds = jobs(PLAIN, ()), jobs(FULL, METRICS, "team")
    print(table(HEAD, list(rows(kinds))))
    for subjects in kinds:
        text = _text(subjects, FAMILIES)
        packed = pack([text])
        print(f"compressed: {sum(map(len, packed.blocks)) / JOBS:,.0f} bytes a job")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
