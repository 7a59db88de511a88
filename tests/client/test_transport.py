"""The commands that report and those that read describe a failure in the same words."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.client.daemon import Daemon, NotDeliveredError, RefusedError
from tests.cli.test_jobs_runs_alerts import somebody_else
from tests.client.doubles import told

HEAD = b"HTTP/1.0 %s\r\nContent-Type: application/problem+json\r\n\r\n%s"


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (HEAD % (b"404 Not Found", b'{"detail": "unknown job"}'), "unknown job"),
        (
            HEAD % (b"401 Unauthorized", b'{"detail": "authentication required"}'),
            "authentication required: put a token into AFTERRUN_TOKEN",
        ),
        (
            HEAD % (b"502 Bad Gateway", b"<html>"),
            "{} answered 502 Bad Gateway and does not respond like AfterRun",
        ),
        (
            b"HTTP/1.0 302 Found\r\nLocation: http://u:p@b.example/\r\n\r\n",
            "{} answered 302 with a redirect to 'http://b.example'; if that is AfterRun",
        ),
        (b"220 mail\x1b[1m\r\n", "{} does not respond like AfterRun: 220 mail [1m"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "{} does not respond like AfterRun"),
    ],
)
def test_a_failure_has_one_description(response: bytes, problem: str) -> None:
    with somebody_else(response) as url:
        reading = CliRunner().invoke(afterrun, ["jobs", "--url", url])
    assert reading.stderr.startswith(f"Error: {problem.format(url)}")
    assert reading.stderr.count("\n") == 1

    with somebody_else(response) as url:
        reporting = Daemon(url)
        with pytest.raises((NotDeliveredError, RefusedError)) as caught:
            reporting.send(told("backup"), 5.0)
    assert problem.format(url) in str(caught.value)


def test_an_address_that_is_none_is_described_by_both() -> None:
    problem = "--url 'host:1' is not an http or https URL: write it like http://127"
    reading = CliRunner().invoke(afterrun, ["jobs", "--url", "host:1"])

    with pytest.raises(NotDeliveredError) as caught:
        Daemon("host:1").send(told("backup"), 5.0)

    assert problem in reading.stderr
    assert str(caught.value).startswith(problem)
    assert not caught.value.again
