"""`afterrun serve` with flags that cannot be: one line, and nothing is started."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.group import afterrun


def serve(flag: str) -> Result:
    return CliRunner().invoke(afterrun, ["serve", flag])


@pytest.mark.parametrize(
    "address", ["10707", "localhost", "::1:10707", ":99999", "http://x:1", "[::1]"]
)
def test_an_address_that_is_none_is_one_line(address: str) -> None:
    """It says how one is written."""
    ended = serve(f"--web.listen-address={address}")

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: --web.listen-address {address!r} is not an address: write it "
        "like :10707, 127.0.0.1:10707 or [::1]:10707\n"
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metrics",
        "/",
        "//",
        "/ping",
        "/ping/metrics",
        "/api/metrics",
        "/-/metrics",
        "/{job}",
        "/a?b",
    ],
)
def test_a_path_for_metrics_that_is_none_is_one_line(path: str) -> None:
    """It would hide something else, or never be found."""
    ended = serve(f"--web.telemetry-path={path}")

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: --web.telemetry-path {path!r} is invalid: write it like "
        "/metrics; /, /ping, /api/, /-/, /jobs/, /static/, /badge/ and "
        "/metrics/pushed are reserved\n"
    )


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (":memory:", " ':memory:' would not survive a restart: use the path of a file"),
        ("", " is empty: use the path of a file"),
    ],
)
def test_a_database_that_is_no_file_is_one_line(path: str, problem: str) -> None:
    """What was answered with 200 has to be there after a restart."""
    ended = serve(f"--storage.path={path}")

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == f"afterrun: --storage.path{problem}\n"
