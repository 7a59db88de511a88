"""Names of jobs in other systems: for people, and in URLs."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.names import aliases, job_slug, name_of, slug_of


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Nightly backup", "nightly-backup"),
        ("  DB -- dump!  ", "db-dump"),
        ("under_score", "under_score"),
        ("-_-", ""),
        ("Sauvegarde été", ""),
        ("", ""),
    ],
)
def test_a_slug_is_as_healthchecks_makes_it(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize(
    ("name", "display_name", "shown", "slug"),
    [
        ("backup", "", "backup", "backup"),
        ("backup", "Nightly backup", "Nightly backup", "backup"),
        ("Backup.db", "", "Backup.db", "Backup.db"),
        ("Backup.db", "Nightly backup", "Nightly backup", "nightly-backup"),
        ("Backup.db", "été", "été", "Backup.db"),
    ],
)
def test_a_job_has_a_name_for_people_and_one_for_urls(
    name: str, display_name: str, shown: str, slug: str
) -> None:
    job = Job(name=name, display_name=display_name)

    assert name_of(job) == shown
    assert job_slug(job) == slug


@pytest.mark.parametrize(
    ("display_name", "others"),
    [
        ("", []),
        ("Nightly", [("name", "Nightly"), ("slug", "nightly")]),
        ("Backup", [("name", "Backup")]),
        ("été", [("name", "été")]),
    ],
)
def test_a_job_is_found_by_its_other_names(
    display_name: str, others: list[tuple[str, str]]
) -> None:
    assert [*aliases(Job(name="backup", display_name=display_name))] == others
