"""Names of imported jobs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import JOB_NAME
from afterrun_exporter.importers.names import job_name, unique_names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("backup.sh", "backup.sh"),
        ("Nightly Backup", "Nightly-Backup"),
        ("Größe & Länge", "Grosse-Lange"),
        ("/opt/x/run me", "opt-x-run-me"),
        ("--", "job"),
        ("", "job"),
        ("日本", "job"),
        ("a" * 200, "a" * 128),
        ("prod/db:dump", "prod-db:dump"),
    ],
)
def test_a_text_becomes_a_name(text: str, name: str) -> None:
    assert job_name(text) == name


@given(st.text())
def test_every_text_becomes_a_valid_name(text: str) -> None:
    assert JOB_NAME.fullmatch(job_name(text))


def test_repeated_names_are_numbered_from_the_second_on() -> None:
    assert unique_names(["a", "b", "a", "a"]) == ["a", "b", "a-2", "a-3"]


def test_a_number_that_another_job_has_in_its_name_is_skipped() -> None:
    assert unique_names(["a", "a", "a-2"]) == ["a", "a-3", "a-2"]


names = st.sampled_from(["a", "b", "a-2", "a-3", "b-2", "a" * 128])


@given(st.lists(names))
def test_names_are_valid_and_unique(texts: list[str]) -> None:
    result = unique_names(texts)

    assert len(set(result)) == len(texts)
    assert all(map(JOB_NAME.fullmatch, result))


@given(st.lists(names), st.data())
def test_a_line_with_another_name_renames_no_job(
    texts: list[str], data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(texts)))
    before = unique_names(texts)

    after = unique_names([*texts[:position], "unrelated", *texts[position:]])

    assert after[:position] + after[position + 1 :] == before
