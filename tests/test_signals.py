"""The tests of signals say the same, however the runner of the tests was started."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from .signals import TERMINAL_SIGNALS, stop_ignoring_signals


@pytest.fixture(params=TERMINAL_SIGNALS)
def ignored(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    before = signal.signal(request.param, signal.SIG_IGN)
    yield request.param
    signal.signal(request.param, before)


@pytest.mark.parametrize("number", TERMINAL_SIGNALS)
def test_no_signal_of_a_terminal_is_ignored_here(number: signal.Signals) -> None:
    assert signal.getsignal(number) is not signal.SIG_IGN


def test_a_program_ends_by_a_signal_that_the_runner_was_told_to_ignore(
    ignored: signal.Signals,
) -> None:
    stop_ignoring_signals()

    kill_itself = f"import os; os.kill(os.getpid(), {ignored.value})"
    done = subprocess.run(
        [sys.executable, "-c", kill_itself], capture_output=True, check=False
    )

    assert done.returncode == -ignored
