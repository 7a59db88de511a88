"""What `afterrun serve` says first is something to try out."""

from __future__ import annotations

import pytest

from afterrun_exporter.cli.banner import example, usage
from afterrun_exporter.config import parse


@pytest.mark.parametrize(
    ("text", "job", "body"),
    [
        ("{}", "my-job", '{"metrics": {"rows_processed": 0}}'),
        ("jobs: {a: {}}", "a", '{"status": "ok"}'),
        (
            "jobs: {a: {}, b: {rules: [files between 3 and 5]}}",
            "b",
            '{"metrics": {"files": 0}}',
        ),
        # It is no metric that a job reports.
        ("jobs: {a: {rules: [duration < 5m]}}", "a", '{"status": "ok"}'),
        (
            "jobs: {a: {rules: [duration < 5m, 'size > 1KiB']}}",
            "a",
            '{"metrics": {"size": 0}}',
        ),
        ("jobs: {a: {enabled: false, rules: [x > 0]}, b: {}}", "b", '{"status": "ok"}'),
    ],
)
def test_the_example_is_of_a_job_there_is_and_a_metric_it_has(
    text: str, job: str, body: str
) -> None:
    """The first one with a rule: it shows a verdict."""
    assert example(parse(text).jobs.values()) == (job, body)


def test_where_a_token_is_wanted_the_example_sends_one() -> None:
    """From the environment: it is in no history then."""
    open_, locked = (
        usage("http://x", "/metrics", (), locked=one) for one in (False, True)
    )

    assert "Authorization" not in open_
    assert locked.count('-H "Authorization: Bearer $AFTERRUN_TOKEN" http://x/') == 2
