"""`afterrun serve` with flags that cannot be: one line, and nothing is started."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli import memory
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.config import parse


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
        "/metrics; /, /ping, /api/, /-/, /jobs/, /static/, /badge/, /runbook and "
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


def test_threads_share_the_arenas_of_malloc() -> None:
    """Otherwise each of them keeps memory for itself that it has freed."""
    program = """
import ctypes, re, threading
from afterrun_exporter.cli.memory import ARENAS, limit_arenas
libc = ctypes.CDLL(None)
limit_arenas()
def work():
    pointers = [libc.malloc(1000) for _ in range(100)]
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert 1 <= ended.stdout.count("<heap nr=") <= memory.ARENAS


async def test_a_large_configuration_is_left_out_of_later_collections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a few reloads of 100,000 jobs, one would take 0.3 s."""
    monkeypatch.setattr(memory, "MANY_JOBS", 2)
    gc.unfreeze()
    try:
        await memory.freeze_many(parse("jobs: {a: {}}"))
        assert gc.get_freeze_count() == 0

        await memory.freeze_many(parse("jobs: {a: {}, b: {}}"))
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
