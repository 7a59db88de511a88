"""What other systems call a job, and what it is called here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import JOB_NAME
from afterrun_exporter.dialects.context import job_name
from afterrun_exporter.errors import PingError


@pytest.mark.parametrize(
    ("text", "job"),
    [
        ("nightly", "nightly"),
        ("Nightly backup", "Nightly-backup"),
        ("db/dump#1", "db-dump-1"),
        ("-x", "x"),
        ("Sauvegarde é", "Sauvegarde-e-bba9588e"),
        ("Sauvegarde ü", "Sauvegarde-u-f14ba6a3"),
        ("Бэкап 1", "1-29fb34cc"),
        ("Архив 1", "1-0c79ac7a"),
        ("Ночной бэкап", "job-a6f7131e"),
    ],
)
def test_a_name_keeps_what_a_job_may_be_called(text: str, job: str) -> None:
    assert job_name(text) == job


@pytest.mark.parametrize("text", ["", "...", "---", " "])
def test_a_name_of_which_nothing_is_left_is_refused(text: str) -> None:
    with pytest.raises(PingError, match="cannot be the name of a job"):
        job_name(text)


@given(st.text(min_size=1, max_size=300))
def test_every_name_is_one_or_is_refused(text: str) -> None:
    try:
        name = job_name(text)
    except PingError:
        assert text.isascii()
    else:
        assert JOB_NAME.fullmatch(name)
        assert job_name(name) == name


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_names_in_other_letters_are_told_apart(one: str, other: str) -> None:
    foreign = [text for text in (one, other) if not text.isascii()]
    if len(set(foreign)) == 2:
        assert job_name(one) != job_name(other)
