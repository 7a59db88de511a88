"""Replicas that change the same jobs: nothing is lost, and nothing counts twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.duplicates import (
    KEY_SIZE,
    REMEMBERED,
    is_partial,
    key_of,
    shortened,
)
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Run, Settings
from afterrun_exporter.core.state import (
    AlertKey,
    AlertOpened,
    AlertResolved,
    JobState,
    Transition,
)
from afterrun_exporter.core.transitions import on_ping, registered
from afterrun_exporter.core.unchanged_jobs import same_facts
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import decode_state, encode_state
from afterrun_exporter.storage.group_commit import (
    FIRST_PAUSE,
    ROUNDS,
    Committed,
    GroupCommit,
    Lost,
    Writes,
)
from afterrun_exporter.storage.replicas import ChangedJobs
from afterrun_exporter.storage.run_keys import OlderKeys
from afterrun_exporter.storage.store import Change, Decide
from tests.examples import examples
from tests.storage.decisions import T0, fresh, known, logged, missed_once_more, ran

SETTINGS: Final = Settings()
Results = list[Transition | Exception]


@dataclass
class Row:
    """A job in the database."""

    stamp: int
    text: str
    keys: bytes

    @classmethod
    def of(cls, stamp: int, state: JobState) -> Row:
        keys = state.run_keys[-REMEMBERED * KEY_SIZE :]
        return cls(stamp, encode_state(state), keys)

    @property
    def state(self) -> JobState:
        return decode_state(self.text, self.keys)


@dataclass
class Database:
    """Rows that are written only in place of those that a decision was based on."""

    rows: dict[str, Row] = field(default_factory=dict)
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    #: All transitions of each job, in the order of their commits.
    log: dict[str, list[Transition]] = field(default_factory=lambda: defaultdict(list))
    writers: count[int] = field(default_factory=lambda: count(1))

    def commit(
        self, stamp: int, before: Mapping[str, int], writes: Writes
    ) -> frozenset[str]:
        """Write the jobs whose stamps are those *before*; return the others."""
        lost = frozenset(
            job for job, known_ in before.items() if known_ != self.stamp(job)
        )
        done = [one for one in writes if one[0] not in lost]
        rows = {job: Row.of(stamp, transition.state) for job, transition in done}
        self.rows |= rows
        for job, transition in done:
            self.runs[job] += transition.runs
            self.log[job].append(transition)
        return lost

    def stamp(self, job: str) -> int:
        return self.rows[job].stamp if job in self.rows else 0

    def committed(self, job: str) -> Committed:
        row = self.rows.get(job)
        return Committed(None, 0) if row is None else Committed(row.state, row.stamp)


class Poll:
    """A look at the database, which takes a while."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._noted = dict(replica.commits.stamps)
        self._rows: dict[str, Committed] | None = None

    def read(self) -> None:
        database = self._replica.database
        self._rows = {job: database.committed(job) for job in database.rows}

    def apply(self) -> None:
        if self._rows is None:
            self.read()
        commits = self._replica.commits
        commits.adopt(commits.newer(self._rows or {}, self._noted))


class Replica:
    """A process with all states in memory, and a connection that may break."""

    def __init__(self, database: Database, memory: int = 9999) -> None:
        self.database = database
        self.states: dict[str, JobState] = {}
        self.commits = GroupCommit(
            self.states, self._write, self._load, memory, sleep=self._sleep
        )
        #: Statements wait before and after their commit while it is not set.
        self.gate = asyncio.Event()
        self.gate.set()
        #: What breaks the next statement, and those that the server has yet to execute.
        self.fault = ""
        self.late: list[partial[frozenset[str]]] = []
        self.statements = 0
        self.pauses: list[float] = []
        self._number = next(database.writers)
        self._counter = count(1)

    def poll(self) -> None:
        Poll(self).apply()

    async def change(self, *changes: Change) -> Results:
        return await self.commits.update_all(changes)

    async def _write(self, writes: Writes) -> Lost:
        self.statements += 1
        await self._pass_gate()
        # It may need a connection before it looks at the stamps.
        before = {job: self.commits.stamps.get(job, 0) for job, _ in writes}
        stamp = self._number << 32 | next(self._counter)
        statement = partial(self.database.commit, stamp, before, [*writes])
        self._break_at("before")
        if self.fault == "late":
            self.late.append(statement)
            self._break_at("late")
        lost = statement()
        await self._pass_gate()
        self._break_at("after")
        self.commits.stamps.update(dict.fromkeys(before.keys() - lost, stamp))
        return {job: self.database.committed(job) for job in lost}

    async def _load(self, jobs: Collection[str]) -> Mapping[str, OlderKeys]:
        runs = {job: [*self.database.runs[job]] for job in jobs}
        await self._pass_gate()
        return {
            job: OlderKeys(b"".join(map(key_of, some)), len(some))
            for job, some in runs.items()
            if some
        }

    async def _pass_gate(self) -> None:
        await self.gate.wait()
        await yield_to_loop()

    def _break_at(self, moment: str) -> None:
        if self.fault == moment:
            self.fault, self._number = "", next(self.database.writers)
            raise StorageError(f"cut {moment} the commit")

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await yield_to_loop()


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def ours(database: Database) -> Replica:
    return Replica(database)


@pytest.fixture
def theirs(database: Database) -> Replica:
    return Replica(database)


def missed(job: str) -> Change:
    return Change(job, missed_once_more())


def stored_missed(database: Database) -> dict[str, int]:
    return {job: row.state.missed_total for job, row in database.rows.items()}


def in_memory(replica: Replica) -> dict[str, int]:
    return {job: state.missed_total for job, state in replica.states.items()}


def missed_totals(results: Results) -> list[int]:
    return [one.state.missed_total for one in results if isinstance(one, Transition)]


async def test_a_change_of_a_job_that_another_replica_changed_is_decided_again(
    ours: Replica, theirs: Replica, database: Database
) -> None:
    await theirs.change(missed("a"))

    results = await ours.change(missed("a"))

    assert missed_totals(results) == [2]
    assert stored_missed(database) == in_memory(ours) == {"a": 2}
    assert ours.commits.stamps["a"] == database.stamp("a")
    assert (ours.commits.conflicts, ours.statements) == (1, 2)


async def test_the_results_of_one_update_keep_their_order(
    ours: Replica, theirs: Replica, database: Database
) -> None:
    """Several changes of a lost job are all decided again, and those of others are not."""
    await theirs.change(missed("a"), missed("c"))
    decided: list[str] = []

    def noting(job: str) -> Change:
        def decide(state: JobState | None) -> Transition:
            decided.append(job)
            return missed_once_more()(state)

        return Change(job, decide)

    results = await ours.change(*map(noting, "abacab"))

    assert missed_totals(results) == [2, 1, 3, 2, 4, 2]
    assert decided == [*"abacab", *"aaca"]
    assert ours.commits.conflicts == 4
    assert stored_missed(database) == {"a": 4, "b": 2, "c": 2}


async def test_an_update_that_lost_nothing_is_answered_at_once(
    ours: Replica, theirs: Replica
) -> None:
    """Whoever shares its commit may have to wait."""
    await theirs.change(missed("a"))
    both = (
        ours.commits.update_all([missed("a")]),
        ours.commits.update_all([missed("b")]),
    )
    both[1].add_done_callback(lambda _: ours.gate.clear())
    await both[1]

    assert not both[0].done()
    ours.gate.set()
    assert missed_totals(await both[0]) == [2]


async def test_changes_that_wait_come_after_those_that_are_decided_again(
    ours: Replica, theirs: Replica
) -> None:
    await theirs.change(missed("a"))
    ours.gate.clear()
    first = [ours.commits.update_all([missed("a")]) for _ in range(2)]
    await settled()
    last = ours.commits.update_all([missed("a")])

    ours.gate.set()
    results = [await one for one in (*first, last)]

    assert [missed_totals(one) for one in results] == [[2], [3], [4]]


async def test_an_error_is_decided_again_with_the_changes_around_it(
    ours: Replica, theirs: Replica
) -> None:
    """It may have been caused by one that is undone."""

    def only_after_two(state: JobState | None) -> Transition:
        if state is None or state.missed_total != 2:
            raise ValueError("not the second one")
        return missed_once_more()(state)

    await theirs.change(missed("a"))
    results = await ours.change(missed("a"), Change("a", only_after_two))

    assert missed_totals(results) == [2, 3]


async def test_a_log_is_written_once(
    ours: Replica, theirs: Replica, database: Database
) -> None:
    """It does not change the state, but it is written with it."""
    await ours.change(missed("a"))
    theirs.poll()
    await theirs.change(missed("a"))
    await ours.change(Change("a", logged("words")))

    assert stored_missed(database) == {"a": 2}
    assert sum(len(one.logs) for one in database.log["a"]) == 1


async def test_a_client_that_has_gone_takes_nothing_back(
    ours: Replica, theirs: Replica, database: Database
) -> None:
    await theirs.change(missed("a"))
    ours.gate.clear()
    answer = ours.commits.update_all([missed("a")])
    await settled()
    answer.cancel()
    ours.gate.set()
    await ours.commits.drained()

    assert stored_missed(database) == {"a": 2}


async def test_the_follower_knows_before_the_next_decision(
    ours: Replica, theirs: Replica
) -> None:
    heard: list[str] = []

    def complete(job: str, state: JobState, runs: bytes) -> JobState:
        heard.append(f"complete {job} {state.missed_total} {runs!r}")
        return state

    def on_adopted(changed: ChangedJobs) -> None:
        heard.append(f"adopted {changed} {in_memory(ours)}")

    def decide(state: JobState | None) -> Transition:
        heard.append(f"decide {state and state.missed_total}")
        return missed_once_more()(state)

    ours.commits.follow(complete, on_adopted)
    await theirs.change(missed("a"))
    await ours.change(Change("a", decide))
    ours.poll()

    assert heard == [
        "decide None",
        "complete a 1 b''",
        "adopted {'a': None} {'a': 1}",
        "decide 1",
    ]


async def test_who_always_comes_second_pauses_and_lets_the_others_go(
    ours: Replica, theirs: Replica, database: Database
) -> None:
    """Another replica is faster each time, for so many rounds."""
    faster = iter(range(2 * ROUNDS))

    def decide(state: JobState | None) -> Transition:
        if next(faster, None) is not None:
            database.commit(
                theirs.commits.stamps.setdefault("x", 99) + next(database.writers),
                {"a": database.stamp("a")},
                [("a", missed_once_more()(state))],
            )
        return missed_once_more()(state)

    results = await ours.change(Change("a", decide), missed("b"))
    await ours.commits.drained()

    assert missed_totals(results) == [2 * ROUNDS + 1, 1]
    assert ours.pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE]
    assert ours.commits.conflicts == 2 * ROUNDS


async def test_others_are_committed_during_a_pause(
    ours: Replica, database: Database
) -> None:
    """Also later changes of the same job; a stop waits for the pause."""
    paused, over = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        paused.set()
        await over.wait()

    ours.commits._sleep = sleep
    faster = iter(range(ROUNDS))

    def decide(state: JobState | None) -> Transition:
        if next(faster, None) is not None:
            stamp = next(database.writers)
            writes = [("a", missed_once_more()(state))]
            database.commit(stamp, {"a": database.stamp("a")}, writes)
        return missed_once_more()(state)

    late = ours.commits.update_all([Change("a", decide)])
    await paused.wait()
    assert missed_totals(await ours.change(missed("a"), missed("b"))) == [6, 1]
    drained = asyncio.ensure_future(ours.commits.drained())
    await settled()
    assert not drained.done()
    over.set()
    await drained

    assert missed_totals(await late) == [7]


async def test_an_error_in_a_later_round_refuses_the_whole_update(
    ours: Replica, theirs: Replica, database: Database
) -> None:
    """A part of it is committed; the client repeats all of it."""
    await theirs.change(missed("a"))
    ours.gate.clear()
    answer = ours.commits.update_all([missed("a"), missed("b")])
    await settled()
    ours.gate.set()
    while ours.statements < 2:
        await yield_to_loop()
    ours.fault = "before"

    with pytest.raises(StorageError):
        await answer

    assert stored_missed(database) == {"a": 1, "b": 1}
    assert missed_totals(await ours.change(missed("a"), missed("b"))) == [2, 2]


async def test_what_cannot_be_written_harms_itself_alone_after_a_lost_round(
    ours: Replica, theirs: Replica, database: Database
) -> None:
    def bad(_: JobState | None) -> Transition:
        return Transition(state=fresh(metrics={"rows": float("inf")}))

    await theirs.change(missed("a"))
    answers = await asyncio.gather(
        ours.change(missed("a")),
        ours.change(missed("a"), Change("c", bad)),
        ours.change(missed("a"), missed("b")),
        return_exceptions=True,
    )

    assert isinstance(answers[1], ValueError)
    assert stored_missed(database) == {"a": 3, "b": 1}


async def test_a_job_that_the_database_does_not_know_any_more_begins_anew(
    ours: Replica, database: Database
) -> None:
    """Its commits were lost with the server that had them."""
    await ours.change(missed("a"), missed("a"))
    del database.rows["a"]

    assert missed_totals(await ours.change(missed("a"))) == [1]
    assert ours.commits.stamps["a"] == database.stamp("a")


class TestAPoll:
    async def test_brings_what_others_committed(
        self, ours: Replica, theirs: Replica
    ) -> None:
        await theirs.change(missed("a"))
        ours.poll()

        assert in_memory(ours) == {"a": 1}
        assert ours.commits.stamps == theirs.commits.stamps

    async def test_does_not_bring_back_what_was_before_our_commit(
        self, ours: Replica, theirs: Replica, database: Database
    ) -> None:
        """It was read before, and arrives afterwards."""
        await theirs.change(missed("a"))
        poll = Poll(ours)
        poll.read()
        await ours.change(missed("a"))
        poll.apply()

        assert in_memory(ours) == stored_missed(database) == {"a": 2}

    @pytest.mark.parametrize("decide", [missed_once_more(), logged("words")])
    async def test_leaves_out_what_is_in_flight(
        self, ours: Replica, theirs: Replica, database: Database, decide: Decide
    ) -> None:
        """A decision on the state before must not be written over a newer state."""
        await ours.change(missed("a"))
        theirs.poll()
        ours.gate.clear()
        answer = ours.commits.update_all([Change("a", decide)])
        await settled()
        await theirs.change(missed("a"))
        ours.poll()
        assert in_memory(ours) == {"a": 1}

        ours.gate.set()
        await answer
        assert in_memory(ours) == stored_missed(database)
        assert stored_missed(database)["a"] >= 2
        assert ours.commits.conflicts == 1

    async def test_leaves_out_a_job_whose_older_keys_are_being_loaded(
        self, ours: Replica, theirs: Replica, database: Database
    ) -> None:
        """Otherwise runs would be missing between the older keys and the newer ones."""
        await theirs.change(*(reported("a", f"run-{n}") for n in range(40)))
        ours.poll()
        ours.gate.clear()
        answer = ours.commits.update_all([reported("a", "run-0")])
        await settled()
        more = [reported("a", f"more-{n}") for n in range(40)]
        await theirs.change(*more)
        ours.poll()
        ours.gate.set()
        (result,) = await answer

        assert isinstance(result, Transition)
        assert result.duplicate_of == 1
        again = await ours.change(*more)
        assert [one.duplicate_of for one in again if isinstance(one, Transition)] == [
            *range(41, 81)
        ]
        assert len(database.runs["a"]) == 80

    async def test_keeps_the_older_keys_that_are_in_memory(
        self, ours: Replica, theirs: Replica
    ) -> None:
        await ours.change(*(reported("a", f"run-{n}") for n in range(40)))
        theirs.poll()
        assert is_partial(theirs.states["a"])
        await theirs.change(reported("a", "more"))
        ours.poll()

        assert len(ours.states["a"].run_keys) == 41 * KEY_SIZE
        assert not is_partial(ours.states["a"])

    async def test_bounds_the_memory_of_keys(
        self, database: Database, theirs: Replica
    ) -> None:
        ours = Replica(database, memory=50 * KEY_SIZE)
        await ours.change(*(reported("a", f"run-{n}") for n in range(40)))
        theirs.poll()
        await theirs.change(*(reported("a", f"more-{n}") for n in range(40)))
        ours.poll()
        await ours.change(*(reported("b", f"run-{n}") for n in range(49)))

        sizes = {job: len(one.run_keys) for job, one in ours.states.items()}
        assert sizes == {"a": 32 * KEY_SIZE, "b": 49 * KEY_SIZE}


async def settled() -> None:
    """Return when all that is not held back has been done."""
    for _ in range(10):
        await yield_to_loop()


def reported(job: str, run_id: str, outcome: Outcome = Outcome.OK) -> Change:
    described = Job(name=job, after_failures=1)

    def decide(state: JobState | None) -> Transition:
        before = state or registered(described, T0)
        ping = Ping(
            job=job,
            kind=Kind.FINISH,
            at=max(T0, before.last_ping_at) + 1,
            run_id=run_id,
            outcome=outcome,
        )
        return on_ping(described, before, ping, SETTINGS)

    return Change(job, decide)


REPLICAS: Final = 3
which = st.integers(0, REPLICAS - 1)
one_report = st.tuples(
    st.sampled_from("abb"),
    st.integers(0, 99),
    st.sampled_from([Outcome.OK, Outcome.FAIL]),
)
reports = st.lists(one_report, min_size=1, max_size=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("report"), which, reports),
        st.tuples(st.just("go"), which, st.just([])),
        st.tuples(st.sampled_from(["go", "poll"]), which, st.just([])),
        st.tuples(st.sampled_from(["look", "read", "late"]), which, st.just([])),
        st.tuples(st.just("cut"), which, st.sampled_from(["before", "after", "late"])),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=examples(100))
@given(steps)
async def test_the_result_is_that_of_some_order(
    program: list[tuple[str, int, Sequence[tuple[str, int, Outcome]]]],
) -> None:
    """However commits, polls and broken connections follow on each other."""
    world = World()
    await world.begin()
    for what, number, argument in program:
        await world.step(what, number, argument)
    await world.end()

    for job, row in world.database.rows.items():
        runs = world.database.runs[job]
        assert [run.number for run in runs] == [*range(1, len(runs) + 1)]
        assert len({run.run_id for run in runs}) == len(runs)
        assert {run.run_id for run in runs} == world.run_ids[job]
        check_order(world.database.log[job], row.state)
        for replica in world.replicas:
            assert same_facts(shortened(replica.states[job]), row.state)
            keys = replica.states[job].run_keys
            assert b"".join(map(key_of, runs)).endswith(keys)


def check_order(log: Sequence[Transition], last: JobState) -> None:
    """Assert that each transition follows on the one before, and alerts open once."""
    open_keys: set[AlertKey] = set()
    runs = total = 0
    for transition in log:
        runs += len(transition.runs)
        total += transition.duplicate
        assert transition.state.recorded == runs
        assert transition.state.duplicates_total == total
        for event in transition.alerts:
            if isinstance(event, AlertOpened):
                assert event.key not in open_keys
                open_keys.add(event.key)
            elif isinstance(event, AlertResolved):
                open_keys.remove(event.key)
        assert open_keys == {alert.key for alert in transition.state.alerts}
    assert same_facts(shortened(log[-1].state), last)


class World:
    """Replicas of one database, whose jobs begin with more runs than a row has keys."""

    def __init__(self) -> None:
        self.database = Database()
        self.replicas = [Replica(self.database) for _ in range(REPLICAS)]
        self.run_ids: dict[str, set[str]] = defaultdict(set)
        self._polls: dict[int, Poll] = {}
        self._reports: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        first = [("a", n, Outcome.OK) for n in range(40)] + [("b", 0, Outcome.OK)]
        await self._report(self.replicas[0], first)
        for replica in self.replicas:
            replica.gate.clear()

    async def step(
        self, what: str, number: int, argument: Sequence[tuple[str, int, Outcome]]
    ) -> None:
        replica = self.replicas[number]
        match what:
            case "report":
                task = asyncio.create_task(self._report(replica, argument))
                self._reports.append(task)
            case "go":
                # Only what waits now goes on, until it waits again.
                replica.gate.set()
                replica.gate.clear()
            case "cut":
                replica.fault = str(argument)
            case "late":
                while replica.late:
                    replica.late.pop(0)()
            case "look":
                self._polls[number] = Poll(replica)
            case "read" if number in self._polls:
                self._polls[number].read()
            case "poll":
                self._polls.pop(number, Poll(replica)).apply()
        await settled()

    async def end(self) -> None:
        """Let all reports be acknowledged, and all replicas poll."""
        for number, replica in enumerate(self.replicas):
            replica.fault = ""
            await self.step("late", number, [])
            replica.gate.set()
            await settled()
        await asyncio.gather(*self._reports)
        for replica in self.replicas:
            replica.poll()

    async def _report(
        self, replica: Replica, reports: Sequence[tuple[str, int, Outcome]]
    ) -> None:
        """Report until it is acknowledged, as a client does."""
        changes = [reported(job, f"run-{n}", outcome) for job, n, outcome in reports]
        while True:
            try:
                results = await replica.change(*changes)
            except StorageError:
                await yield_to_loop()
                continue
            break
        for (job, n, _), result in zip(reports, results, strict=True):
            assert isinstance(result, Transition), result
            self.run_ids[job].add(f"run-{n}")
            # It is committed before it is acknowledged.
            number = result.duplicate_of if result.run is None else result.run.number
            assert self.database.runs[job][number - 1].run_id == f"run-{n}"


def test_the_fake_is_no_more_lenient_than_a_database(database: Database) -> None:
    """A statement with the stamp of another commit writes nothing."""
    writes = [("a", known()(None))]
    assert not database.commit(7, {"a": 0}, writes)
    assert database.commit(8, {"a": 0}, [("a", ran()(None))]) == {"a"}
    assert (database.stamp("a"), database.runs["a"]) == (7, [])
