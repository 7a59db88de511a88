"""Commits that wait for the clients which are likely to report again soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.storage.group_commit import MAX_SHARED, GroupCommit
from afterrun_exporter.storage.store import Change
from tests.storage.decisions import missed_once_more
from tests.storage.test_group_commit import Disk, begun, one

#: Seconds that never pass in a test, and those that soon have.
LONG = 86400.0
SHORT = 0.0001


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def patient(disk: Disk) -> AsyncIterator[GroupCommit]:
    """A commit that waits as long as it must."""
    group = GroupCommit({}, disk.write, patience=LONG)
    yield group
    disk.release()


async def several_at_once(commits: GroupCommit, disk: Disk, names: str) -> None:
    """Commit a job alone, and meanwhile let those with *names* report."""
    disk.hold()
    first = await begun(commits, one("first"))
    await disk.is_busy()
    others = await begun(commits, *map(one, names))
    disk.release()
    await asyncio.gather(*first)
    assert not any(other.done() for other in others)
    # The client of the first job is the one that is missing.
    await commits.update_all(one("first"))
    await asyncio.gather(*others)


async def test_clients_that_report_one_after_another_never_wait(
    patient: GroupCommit, disk: Disk
) -> None:
    """No patience is needed where each one is answered before the next reports."""
    for name in "abc":
        await patient.update_all(one(name))

    assert disk.commits == [["a"], ["b"], ["c"]]


async def test_a_commit_waits_for_the_clients_that_were_answered_last(
    patient: GroupCommit, disk: Disk
) -> None:
    """All of them share the next one, instead of two halves that take turns."""
    await several_at_once(patient, disk, "ab")

    assert disk.commits == [["first"], ["a", "b", "first"]]

    early = await begun(patient, one("a"), one("b"))
    assert len(disk.commits) == 2
    await asyncio.gather(*early, *await begun(patient, one("c")))
    assert disk.commits[2:] == [["a", "b", "c"]]


@pytest.mark.parametrize("patience", [SHORT, 0.0])
async def test_a_client_that_does_not_come_again_holds_others_up_only_shortly(
    disk: Disk, patience: float
) -> None:
    """Without patience not at all."""
    commits = GroupCommit({}, disk.write, patience=patience)
    disk.hold()
    first = await begun(commits, one("first"))
    await disk.is_busy()
    others = await begun(commits, one("a"))
    disk.release()

    await asyncio.gather(*first, *others)

    assert disk.commits == [["first"], ["a"]]
    await commits.update_all(one("a"))
    assert len(disk.commits) == 3


async def test_no_more_are_expected_than_share_a_commit(disk: Disk) -> None:
    """Otherwise a full commit would wait for what it cannot take."""
    commits = GroupCommit({}, disk.write, patience=LONG)
    disk.hold()
    first = await begun(commits, one("first"))
    await disk.is_busy()
    crowd = await begun(
        commits, *(one(f"job{number}") for number in range(2 * MAX_SHARED))
    )
    disk.release()
    await asyncio.gather(*first, *crowd)

    assert [len(jobs) for jobs in disk.commits] == [1, MAX_SHARED, MAX_SHARED]


async def test_updates_that_are_committed_one_by_one_wait_for_nobody(
    disk: Disk,
) -> None:
    """One of them cannot be written, and the others have waited enough."""
    commits = GroupCommit({}, disk.write, patience=LONG)
    disk.poison = {"b"}
    disk.hold()
    first = await begun(commits, one("first"))
    await disk.is_busy()
    others = await begun(commits, *map(one, "abc"))
    disk.release()
    await asyncio.gather(*first)
    last = await begun(commits, one("first"))

    answers = await asyncio.gather(*others, *last, return_exceptions=True)

    assert [isinstance(answer, OverflowError) for answer in answers] == [
        False,
        True,
        False,
        False,
    ]
    assert disk.commits[1:] == [["a"], ["c"], ["first"]]


async def test_a_client_that_left_while_it_waited_is_recorded(
    patient: GroupCommit, disk: Disk
) -> None:
    """It waits for its answer alone."""
    await several_at_once(patient, disk, "a")
    (left,) = await begun(patient, [Change("left", missed_once_more())])
    left.cancel()
    await yield_to_loop()
    assert len(disk.commits) == 2

    await patient.update_all(one("a"))

    assert disk.commits[2:] == [["left", "a"]]
