"""Many updates, one commit: who shares it, and what happens when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from itertools import chain

import pytest

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.duplicates import OlderRunsNeededError
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.group_commit import (
    MAX_SHARED,
    NONE_LOST,
    GroupCommit,
    Lost,
    Writes,
)
from afterrun_exporter.storage.run_keys import OlderKeys
from afterrun_exporter.storage.store import Change, Decide
from tests.storage.decisions import fresh, known, logged, missed_once_more, unreadable

Answer = list[Transition | Exception]


class Disk:
    """Takes writes when it is let, one after another, and keeps what it took."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        #: Jobs that cannot be written, whatever it is about them.
        self.poison: set[str] = set()
        self.full = False
        self._free = asyncio.Event()
        self._free.set()
        self._busy = asyncio.Event()

    async def write(self, writes: Writes) -> Lost:
        self._busy.set()
        await self._free.wait()
        self._busy.clear()
        if self.full:
            raise StorageError("the disk is full")
        jobs = [job for job, _ in writes]
        if self.poison.intersection(jobs):
            raise OverflowError("this cannot be written")
        self.commits.append(jobs)
        return NONE_LOST

    def hold(self) -> None:
        """Let every write wait from now on."""
        self._free.clear()

    def release(self) -> None:
        """Let those that wait go on."""
        self._free.set()

    async def is_busy(self) -> None:
        """Return once a write waits."""
        await self._busy.wait()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def states() -> dict[str, JobState]:
    return {}


@pytest.fixture
async def commits(
    states: dict[str, JobState], disk: Disk
) -> AsyncIterator[GroupCommit]:
    group = GroupCommit(states, disk.write)
    yield group
    disk.release()
    await group.drained()


def one(job: str, decide: Decide | None = None) -> Sequence[Change]:
    return [Change(job, decide or missed_once_more())]


async def begun(
    commits: GroupCommit, *requests: Sequence[Change]
) -> list[asyncio.Future[Answer]]:
    """Return the requests under way, each as far as it gets."""
    tasks = [asyncio.ensure_future(commits.update_all(changes)) for changes in requests]
    await yield_to_loop()
    return tasks


async def test_what_waits_while_the_disk_is_busy_shares_one_commit(
    commits: GroupCommit, disk: Disk
) -> None:
    """The first goes alone: nobody is kept waiting for company."""
    disk.hold()
    first = await begun(commits, one("a"))
    await disk.is_busy()
    waiting = await begun(commits, one("b"), [*one("c"), *one("d")], one("e"))

    disk.release()
    await asyncio.gather(*first, *waiting)

    assert disk.commits == [["a"], ["b", "c", "d", "e"]]


async def test_what_arrives_while_others_are_decided_shares_their_commit(
    commits: GroupCommit, disk: Disk
) -> None:
    """A commit costs more than a decision: whoever comes in time goes along."""
    requests = [await begun(commits, one(job)) for job in "abc"]

    await asyncio.gather(*chain.from_iterable(requests))

    assert disk.commits == [["a", "b", "c"]]


async def test_nobody_is_answered_before_the_commit(
    commits: GroupCommit, disk: Disk, states: dict[str, JobState]
) -> None:
    """Nor does anyone see a state that could still be lost."""
    disk.hold()
    (request,) = await begun(commits, one("a"))
    await disk.is_busy()

    assert not request.done()
    assert states == {}

    disk.release()
    await request
    assert states == {"a": fresh(missed_total=1)}


async def test_those_that_share_a_commit_build_on_each_other(
    commits: GroupCommit, disk: Disk, states: dict[str, JobState]
) -> None:
    """None of them is decided on a state that another has left behind."""
    disk.hold()
    first = await begun(commits, one("a"))
    await disk.is_busy()
    waiting = await begun(commits, *[one("a")] * 5)

    disk.release()
    await asyncio.gather(*first, *waiting)

    assert states["a"].missed_total == 6
    assert len(disk.commits) == 2


async def test_so_many_share_a_commit_and_no_more(
    commits: GroupCommit, disk: Disk
) -> None:
    """The first of a crowd is not to wait for the last."""
    disk.hold()
    first = await begun(commits, one("first"))
    await disk.is_busy()
    limiter = await begun(commits, *[one("a")] * (2 * MAX_SHARED + 1))

    disk.release()
    await asyncio.gather(*first, *limiter)

    assert [len(jobs) for jobs in disk.commits] == [1, MAX_SHARED, MAX_SHARED, 1]


async def test_a_stream_of_requests_does_not_put_off_a_commit(
    commits: GroupCommit, disk: Disk
) -> None:
    """Somebody always arrives in time on a busy daemon; the first is answered still."""
    requests = [
        request
        for _ in range(2 * MAX_SHARED)
        for request in await begun(commits, one("a"))
    ]

    await asyncio.gather(*requests)

    assert [len(jobs) for jobs in disk.commits] == [MAX_SHARED, MAX_SHARED]


@pytest.mark.parametrize(("requests", "changes"), [(1000, 1), (8, 125), (1, 1000)])
@pytest.mark.usefixtures("long_items")
async def test_everything_else_gets_its_turn_while_many_are_decided(
    commits: GroupCommit, disk: Disk, requests: int, changes: int
) -> None:
    """However many requests they come in: a scrape or another ping waits for none."""
    decided: list[int] = []
    most = 0

    def decide(before: JobState | None) -> Transition:
        decided.append(1)
        return known()(before)

    disk.hold()
    first = await begun(commits, one("first"))
    await disk.is_busy()
    waiting = await begun(commits, *[[Change("a", decide)] * changes] * requests)
    disk.release()
    while not all(request.done() for request in waiting):
        await yield_to_loop()
        most, decided = max(most, len(decided)), []
    await asyncio.gather(*first, *waiting)

    assert 0 < most <= 2


async def test_a_client_that_hangs_up_takes_nothing_back(
    commits: GroupCommit, disk: Disk, states: dict[str, JobState]
) -> None:
    """Its change is being written, and others may have been told of it."""
    disk.hold()
    (impatient,) = await begun(commits, one("a"))
    await disk.is_busy()

    impatient.cancel()
    await asyncio.wait([impatient])
    disk.release()
    await commits.drained()

    assert impatient.cancelled()
    assert disk.commits == [["a"]]
    assert states["a"].missed_total == 1


async def test_a_client_that_hangs_up_while_it_waits_disturbs_no_other(
    commits: GroupCommit, disk: Disk, states: dict[str, JobState]
) -> None:
    """Those before and behind it are answered, and its own change is kept."""
    disk.hold()
    first = await begun(commits, one("a"))
    await disk.is_busy()
    before, impatient, behind = await begun(commits, one("b"), one("b"), one("b"))

    impatient.cancel()
    await asyncio.wait([impatient])
    disk.release()
    await asyncio.gather(*first, before, behind)

    assert states["b"].missed_total == 3
    assert disk.commits == [["a"], ["b", "b", "b"]]


async def test_a_commit_that_fails_answers_all_and_publishes_nothing(
    commits: GroupCommit, disk: Disk, states: dict[str, JobState]
) -> None:
    """All of them are told, so that all of them send it again."""
    await commits.update_all(one("a"))
    disk.hold()
    first = await begun(commits, one("a"))
    await disk.is_busy()
    waiting = await begun(commits, one("a"), one("b"))
    disk.full = True

    disk.release()
    answers = await asyncio.gather(*first, *waiting, return_exceptions=True)

    assert [str(answer) for answer in answers] == ["the disk is full"] * 3
    assert all(isinstance(answer, StorageError) for answer in answers)
    assert states == {"a": fresh(missed_total=1)}


async def test_a_failure_nobody_is_left_to_hear_of_is_no_trouble(
    commits: GroupCommit, disk: Disk
) -> None:
    """A warning about it on stderr would be one too many: warnings are errors here."""
    disk.hold()
    (impatient,) = await begun(commits, one("a"))
    await disk.is_busy()
    disk.full = True

    impatient.cancel()
    await asyncio.wait([impatient])
    disk.release()
    await commits.drained()

    assert impatient.cancelled()


async def test_after_a_failure_it_goes_on(
    commits: GroupCommit, disk: Disk, states: dict[str, JobState]
) -> None:
    """What was refused leaves no trace; what comes next is taken."""
    disk.full = True
    with pytest.raises(StorageError):
        await commits.update_all(one("a"))

    disk.full = False
    await commits.update_all(one("a"))

    assert states == {"a": fresh(missed_total=1)}
    assert disk.commits == [["a"]]


async def test_what_cannot_be_written_harms_its_own_request_alone(
    commits: GroupCommit, disk: Disk, states: dict[str, JobState]
) -> None:
    """The others that would have shared its commit get one each."""
    disk.poison = {"bad"}
    disk.hold()
    first = await begun(commits, one("a"))
    await disk.is_busy()
    requests = (one("b"), [*one("c"), *one("bad")], one("b"), one("d"))
    waiting = await begun(commits, *requests)

    disk.release()
    await asyncio.gather(*first)
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert [isinstance(answer, OverflowError) for answer in answers] == [
        False,
        True,
        False,
        False,
    ]
    assert {job: state.missed_total for job, state in states.items()} == {
        "a": 1,
        "b": 2,
        "d": 1,
    }


async def test_a_decision_that_raises_costs_the_others_no_commit(
    commits: GroupCommit, disk: Disk
) -> None:
    """It is known before anything is written."""
    good, bad = await commits.update_all([*one("a"), *one("b", unreadable)])

    assert isinstance(good, Transition)
    assert isinstance(bad, ValueError)
    assert disk.commits == [["a"]]


async def test_what_changes_nothing_is_not_written(
    commits: GroupCommit, disk: Disk
) -> None:
    """A sweep that finds nothing costs the disk nothing; a log is something."""
    await commits.update_all(one("a", known()))
    await commits.update_all(one("a", known()))
    await commits.update_all(one("a", logged("words")))

    assert disk.commits == [["a"], [], ["a"]]


async def test_drained_waits_for_the_last_commit(
    commits: GroupCommit, disk: Disk
) -> None:
    """Also for those that came while the one before was written."""
    disk.hold()
    await begun(commits, one("a"))
    await disk.is_busy()
    await begun(commits, one("b"))

    drained = asyncio.create_task(commits.drained())
    await yield_to_loop()
    assert not drained.done()
    disk.release()
    await drained

    assert disk.commits == [["a"], ["b"]]


async def test_drained_returns_at_once_when_nothing_waits(commits: GroupCommit) -> None:
    """A store that was only opened can be closed."""
    await commits.drained()


def older_wanted(state: JobState | None) -> Transition:
    """Decide only where the keys of older runs are known."""
    if state is None or not state.run_keys_whole:
        raise OlderRunsNeededError
    return missed_once_more()(state)


async def test_older_keys_are_loaded_once_for_all_that_wait(disk: Disk) -> None:
    """After a start all jobs need theirs, and each load is a question to the disk."""
    asked: list[list[str]] = []

    async def load(jobs: Collection[str]) -> Mapping[str, OlderKeys]:
        asked.append(sorted(jobs))
        return {}

    states = {name: fresh(runs_total=99) for name in "abc"}
    commits = GroupCommit(states, disk.write, load)
    disk.hold()
    first = await begun(commits, one("first"))
    await disk.is_busy()
    waiting = await begun(commits, *(one(name, older_wanted) for name in "abc"))
    disk.release()
    await asyncio.gather(*first, *waiting)

    assert asked == [["a", "b", "c"]]
    assert {state.missed_total for state in states.values()} == {1}
    assert len(disk.commits) == 2


async def test_a_decision_that_no_older_key_helps_is_an_error(
    commits: GroupCommit, states: dict[str, JobState]
) -> None:
    """It harms no other."""
    bad, good = await commits.update_all([*one("a", older_wanted), *one("b")])

    assert isinstance(bad, OlderRunsNeededError)
    assert isinstance(good, Transition)
    assert [*states] == ["b"]


async def test_where_older_keys_cannot_be_loaded_nothing_is_recorded(
    disk: Disk,
) -> None:
    """All that would have shared the commit are to send it again."""

    async def load(_: Collection[str]) -> Mapping[str, OlderKeys]:
        raise StorageError("the disk is broken")

    states = {"a": fresh(runs_total=99), "b": fresh()}
    before = dict(states)
    commits = GroupCommit(states, disk.write, load)
    requests = [
        await begun(commits, changes)
        for changes in (one("b"), [*one("b"), *one("a", older_wanted)])
    ]
    answers = await asyncio.gather(
        *chain.from_iterable(requests), return_exceptions=True
    )

    assert [str(answer) for answer in answers] == ["the disk is broken"] * 2
    assert states == before
    assert disk.commits == []
    await commits.update_all(one("b"))
    assert disk.commits == [["b"]]
