"""Jobs that are in no file."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.job_config import JobConfig, plain_job
from afterrun_exporter.core.model import Job

LABELLED = {"backup": Job(name="backup", labels=(("team", "data"),))}


def test_settings_of_a_client_need_a_configuration() -> None:
    with pytest.raises(ValueError, match="need a configuration file"):
        plain_job("backup", '{"every":"1h"}')


def test_unusable_settings_of_a_client_are_ignored() -> None:
    job = JobConfig().nameless("backup", '{"every":"1h"}')

    assert job == plain_job("backup")


def test_an_unknown_job_has_all_declared_labels_even_where_it_is_rejected() -> None:
    job = JobConfig(jobs=LABELLED, unknown=None).nameless("other")

    assert job.labels == (("team", ""),)
    assert not job.configured
