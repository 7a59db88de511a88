"""Long commands show on a terminal how far they are, and nowhere else."""

from __future__ import annotations

import io
import threading

import pytest

from afterrun_exporter.cli.progress import AT_ONCE, bar, concurrently


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def square(number: int) -> int:
    return number * number


def test_results_are_in_order_and_a_terminal_shows_how_many_are_done() -> None:
    terminal = Terminal()

    results = concurrently(square, range(50), "trying rules", terminal)

    assert results == [n * n for n in range(50)]
    assert "trying rules" in terminal.getvalue()
    assert "50/50" in terminal.getvalue()


def test_a_pipeline_sees_no_progress() -> None:
    pipe = io.StringIO()

    with bar("reading", stream=pipe) as advance:
        advance()
    assert concurrently(square, [3], "trying rules", pipe) == [9]

    assert pipe.getvalue() == ""


def test_a_bar_without_a_total_moves() -> None:
    terminal = Terminal()

    with bar("reading afterrun.yml", stream=terminal):
        pass

    assert "reading afterrun.yml" in terminal.getvalue()


def test_several_items_are_under_way_at_the_same_time() -> None:
    """A daemon and its client have a processor each."""
    together = threading.Barrier(AT_ONCE)

    assert concurrently(lambda _: together.wait(60), range(AT_ONCE), "", io.StringIO())


def test_after_an_error_no_other_item_is_begun() -> None:
    begun: list[int] = []

    def act(number: int) -> None:
        begun.append(number)
        raise ValueError(f"item {number}")

    with pytest.raises(ValueError, match="item 0"):
        concurrently(act, range(10_000), "trying rules", io.StringIO())

    assert len(begun) < 10_000
