"""By one hash replicas know that they use the same configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter.config import default, load, parse

ONE = """
jobs:
  backup: {schedule: "0 2 * * *", grace: 10m}
  report: {every: 1h}
limits: {jobs: 100}
"""


@pytest.mark.parametrize(
    "same",
    [
        ONE,
        f"# A comment.\n{ONE}\n\n",
        """
limits:
  jobs: 100
jobs:
  report:
    every: 1h
  backup:
    grace: 10m
    schedule: 0 2 * * *
""",
    ],
)
def test_of_the_same_content_it_is_equal(same: str) -> None:
    assert parse(same).job_config.digest == parse(ONE).job_config.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0 2", "0 3"),
        ("10m", "11m"),
        ("backup", "backups"),
        ("  report: {every: 1h}\n", ""),
        # What no generated rule depends on.
        ("jobs: 100", "jobs: 101"),
        ("limits: {jobs: 100}", "retention: {runs: 50d}"),
    ],
)
def test_of_other_content_it_is_another(old: str, new: str) -> None:
    other = ONE.replace(old, new)
    assert other != ONE

    assert parse(other).job_config.digest != parse(ONE).job_config.digest


def test_of_files_their_names_do_not_count(tmp_path: Path) -> None:
    for folder, names in (("a", ("1.yml", "2.yml")), ("b", ("x.yml", "y.yml"))):
        (tmp_path / folder).mkdir()
        texts = ("jobs: {one: {every: 1h}}\n", "jobs: {two: {every: 2h}}\n")
        for name, text in zip(names, texts, strict=True):
            (tmp_path / folder / name).write_text(text)

    digests = {load(tmp_path / folder).job_config.digest for folder in ("a", "b")}
    assert len(digests) == 1


def test_without_a_file_there_is_one() -> None:
    assert default().job_config.digest
