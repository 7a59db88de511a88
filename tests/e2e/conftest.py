"""Starts the programs that the tests of a module share, and shows their logs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from .processes import Process

#: Starts a program that ends with the tests of the module.
Launch = Callable[[Process], None]

RUNNING = pytest.StashKey[list[Process]]()


@pytest.fixture(scope="module")
def launch(request: pytest.FixtureRequest) -> Iterator[Launch]:
    """Return a function that starts a program and waits until it is ready."""
    running: list[Process] = []
    request.session.stash[RUNNING] = running
    with ExitStack() as stack:

        def start(process: Process) -> None:
            running.append(process)
            stack.callback(process.stop)
            process.start()

        yield start
    running.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what the programs have had to say, once."""
    report = yield
    running = item.session.stash.get(RUNNING, [])
    if report.failed:
        report.sections += [
            (f"log of {process.name}", process.log_tail()) for process in running
        ]
        running.clear()
    return report
