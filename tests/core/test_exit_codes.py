"""An exit code is explained where it is shown."""

from __future__ import annotations

import signal

import pytest

from afterrun_exporter.core import exit_codes


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, ""),
        (1, "general error"),
        (2, "wrong usage, or an error of the program's own"),
        (3, ""),
        (124, "timeout: stopped at its time limit"),
        (126, "found, but not executable"),
        (127, "command not found"),
        (128, ""),
        (137, "ended by SIGKILL, often out of memory"),
        (-9, "ended by SIGKILL, often out of memory"),
        (139, "ended by SIGSEGV, it crashed"),
        (143, "ended by SIGTERM, asked to stop"),
        (152, "ended by SIGXCPU"),
        (255, ""),
    ],
)
def test_codes_have_a_meaning(code: int, words: str) -> None:
    assert exit_codes.meaning(code) == words


def test_signals_have_the_names_that_the_system_has() -> None:
    """For each number of a signal, with which a shell would report it."""
    for number in range(1, 26):
        words = exit_codes.meaning(128 + number)
        if words:
            assert words.startswith(f"ended by {signal.Signals(number).name}")


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "0"), (137, "137 (ended by SIGKILL, often out of memory)"), (3, "3")],
)
def test_a_code_is_shown_with_its_meaning(code: int, text: str) -> None:
    assert exit_codes.with_meaning(code) == text
