"""Replicas of a service over one database, both in memory, by a clock turned by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.history import pack, past
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Kind, Outcome, Ping
from afterrun_exporter.core.notifications import AlertNotification, DeliveryState
from afterrun_exporter.core.state import JobState
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.results import ReportResult
from afterrun_exporter.engine.runtime import running_service
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import decode_state, encode_state
from afterrun_exporter.storage.group_commit import Committed, Lost, Writes
from afterrun_exporter.storage.outbox import Changes
from afterrun_exporter.storage.replicas import Downtime, Follower
from afterrun_exporter.storage.store import Store
from tests.fakes import ManualClock, MemoryStore

#: As of a service in PostgreSQL, in seconds.
LEASE: Final = 3.0
DOWN: Final = 10.0
APART: Final = 180.0
ALIVE: Final = 10.0
FRESH: Final = 5.0

_marks = count()


@dataclass
class Database:
    """What replicas share."""

    clock: ManualClock
    is_down: bool = False
    #: The tables of a `MemoryStore`, by attribute.
    tables: dict[str, Any] = field(default_factory=dict)
    states: dict[str, tuple[str, bytes, int]] = field(default_factory=dict)
    notices: dict[str, AlertNotification] = field(default_factory=dict)
    deliveries: dict[str, Mapping[str, DeliveryState]] = field(default_factory=dict)
    commits: int = 0
    leader: str = ""
    leads_until: float = 0.0
    alive_at: float | None = None
    downtime: Downtime | None = None
    #: The configuration of each replica, and its last sign of life.
    replicas: dict[str, tuple[str, float]] = field(default_factory=dict)
    #: Changes of receivers and of pushed metrics.
    revisions: dict[str, int] = field(
        default_factory=lambda: {"receivers": 0, "pushed": 0}
    )


class Replica:
    """Implements `Replicas`."""

    is_shared = True
    secret = b"a secret of all replicas"
    clock_offset = 0.0
    conflicts = 0

    def __init__(self, name: str, store: ReplicaStore) -> None:
        self.name = name
        self._store = store
        self._database = store.database
        self._clock = store.database.clock
        self._config = ""
        self._leads_until = -1.0
        self._fresh_at = -FRESH
        self._revisions = dict(self._database.revisions)
        self.last_downtime: Downtime | None = None
        self.follower: Follower | None = None

    @property
    def is_leader(self) -> bool:
        return self._clock.elapsed() < self._leads_until

    @property
    def count(self) -> int:
        return len(self._configs())

    def outdated(self) -> str:
        lag = self.feed_lag()
        return f"the database was last read {lag:.0f} s ago" if lag >= FRESH else ""

    def follow(self, follower: Follower) -> None:
        self.follower = follower

    def announce(self, config: str) -> None:
        self._config = config

    def agree(self) -> bool:
        # One that has announced none yet has not used any.
        return set(self._configs().values()) <= {"", self._config}

    def feed_lag(self) -> float:
        return self._clock.elapsed() - self._fresh_at

    async def catch_up(self) -> None:
        self.look()

    def look(self) -> None:
        """Give a sign of life, and apply the changes of others; nothing if it is down."""
        if self._database.is_down:
            return
        self._beat()
        self._store.load()
        for topic, number in self._database.revisions.items():
            if self._revisions[topic] != number and self.follower:
                self._revisions[topic] = number
                getattr(self.follower, f"{topic}_changed")()
        self._fresh_at = self._clock.elapsed()

    def leave(self) -> None:
        """Release the lease, as a daemon that stops."""
        self._database.replicas.pop(self.name, None)
        if self._database.leader == self.name:
            self._database.leads_until = 0.0

    def _configs(self) -> dict[str, str]:
        now = self._clock.elapsed()
        live = {
            name: config
            for name, (config, seen_at) in self._database.replicas.items()
            if now - seen_at < ALIVE
        }
        return live | {self.name: self._config}

    def _beat(self) -> None:
        database, now = self._database, self._clock.now()
        elapsed = self._clock.elapsed()
        database.replicas[self.name] = self._config, elapsed
        if database.alive_at is not None and now - database.alive_at > DOWN:
            since, last = database.alive_at, database.downtime
            if last is not None and since < last.until + APART:
                since = last.since
            database.downtime = Downtime(since, now)
        database.alive_at = now
        if database.leader == self.name or database.leads_until <= elapsed:
            if not self.is_leader:
                self._store.read_outbox()
            database.leader = self.name
            database.leads_until = self._leads_until = elapsed + LEASE
        if self.last_downtime != database.downtime:
            self.last_downtime = database.downtime
            if self.follower and self.last_downtime:
                self.follower.down(self.last_downtime)


class _Shared:
    """A table that all stores of a database have in common."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, store: ReplicaStore, _: type) -> Any:
        return store.database.tables[self._name]

    def __set__(self, store: ReplicaStore, value: object) -> None:
        if store.is_open:
            store.database.tables[self._name] = value
        else:
            store.database.tables.setdefault(self._name, value)


class ReplicaStore(MemoryStore):
    """The store of one replica: its own states, and a database that it shares."""

    _runs: Any = _Shared()
    _keys: Any = _Shared()
    _alerts: Any = _Shared()
    _missed: Any = _Shared()
    _figures: Any = _Shared()
    _logs: Any = _Shared()
    _receivers: Any = _Shared()
    _newest_receiver: Any = _Shared()
    _pushed: Any = _Shared()
    _newest_alert: Any = _Shared()
    #: The changes of pushed metrics that are known here.
    _pushed_revision = 0

    def __init__(self, name: str, database: Database) -> None:
        self.database = database
        self.is_open = False
        super().__init__()
        self.is_open = True
        self.replica = self.replicas = Replica(name, self)
        self._commits.follow(self._completed, self._adopted)

    def load(self) -> None:
        """Put the states into memory that others have changed."""
        stamps = self._commits.stamps
        found = {
            job: self._committed(job)
            for job, (_, _, stamp) in self.database.states.items()
            if stamps.get(job, 0) != stamp
        }
        newer = self._commits.newer(found, dict(stamps))
        notices = self.database.notices.values()
        self.outbox.replace(newer, [one for one in notices if one.job in newer])
        self._commits.adopt(newer)

    def lose(self, job: str) -> None:
        """Find that the database does not know *job* any more."""
        self._commits.adopt({job: Committed(None, 0)})

    def read_outbox(self) -> None:
        """Read the notifications and deliveries that the leader before has stored."""
        jobs = {one.job for one in self.outbox.notices.values()}
        notices = self.database.notices.values()
        self.outbox.replace(jobs, [one for one in notices if one.job in jobs])
        self.outbox.load_deliveries(self.database.deliveries)

    async def pushed(self) -> Any:
        self._pushed_revision = self.database.revisions["pushed"]
        return await super().pushed()

    async def save_pushed(self, group: Any) -> bool:
        if self._pushed_revision != self.database.revisions["pushed"]:
            return False
        self._pushed_revision += 1
        self.database.revisions["pushed"] += 1
        return await super().save_pushed(group)

    async def drop_pushed(self, labels: Any) -> None:
        await super().drop_pushed(labels)
        self.database.revisions["pushed"] += 1

    async def add_receivers(self, added: Any) -> Any:
        self.database.revisions["receivers"] += 1
        return await super().add_receivers(added)

    async def probe(self) -> None:
        if self.database.is_down:
            raise StorageError("the database does not respond")

    def _committed(self, job: str) -> Committed:
        text, keys, stamp = self.database.states[job]
        after = self.replica.follower and self.replica.follower.last_run_known(job)
        runs = [run for name, run in self._runs if name == job]
        later = [] if after is None else [run for run in runs if run.number > after]
        packed = pack(filter(None, map(past, later)))
        return Committed(decode_state(text, keys), stamp, packed)

    def _completed(self, job: str, state: JobState, runs: bytes) -> JobState:
        follower = self.replica.follower
        return state if follower is None else follower.completed(job, state, runs)

    def _adopted(self, changed: Mapping[str, JobState | None]) -> None:
        if self.replica.follower:
            self.replica.follower.jobs_changed(changed)

    async def _write(self, writes: Writes) -> Lost:
        await self.probe()
        stamps, database = self._commits.stamps, self.database
        async with self.outbox.recording(writes) as recording:
            jobs = {job for job, _ in writes}
            recording.losers = lost = {
                job
                for job in jobs
                if database.states.get(job, ("", b"", 0))[2] != stamps.get(job, 0)
            }
            kept = [(job, one) for job, one in writes if job not in lost]
            self._apply(kept)
            database.commits += 1
            for job, transition in kept:
                state, stamps[job] = transition.state, database.commits
                text = encode_state(state)
                database.states[job] = text, state.run_keys, database.commits
            for notice in recording.changes.notices:
                if notice.job not in lost:
                    database.notices[notice.labels] = notice
        return {job: self._committed(job) for job in lost}

    async def _write_outbox(self, changes: Changes) -> None:
        await self.probe()
        notices, deliveries = self.database.notices, self.database.deliveries
        notices.update((one.labels, one) for one in changes.notices)
        deliveries.update(changes.deliveries)
        for notice in changes.removed:
            notices.pop(notice.labels, None)
            deliveries.pop(notice.labels, None)


class Backend(Protocol):
    """A kind of database that replicas share."""

    async def open(self, name: str, stack: AsyncExitStack) -> Store:
        """Return the store of the replica *name*, which *stack* closes."""

    async def look(self, store: Store) -> None:
        """Make the replica of *store* look at the changes of others."""

    async def advance(self, seconds: float) -> None:
        """Let time pass."""

    async def cut(self, *, is_down: bool) -> None:
        """Stop the database, or start it again."""


class InMemory:
    """Implements `Backend` in memory."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.database = Database(clock)

    async def open(self, name: str, stack: AsyncExitStack) -> Store:
        store = ReplicaStore(name, self.database)
        store.replica.look()
        stack.callback(store.replica.leave)
        return store

    async def look(self, store: Store) -> None:
        assert isinstance(store, ReplicaStore)
        store.replica.look()

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def cut(self, *, is_down: bool) -> None:
        self.database.is_down = is_down


class Process:
    """A running replica."""

    def __init__(self, store: Store, clock: ManualClock, config: JobConfig) -> None:
        self.store = store
        self.clock = clock
        self.service = Service(store, clock, config)
        self.admin = JobAdmin(self.service, clock)
        self.stack = AsyncExitStack()
        self._tasks = AsyncExitStack()
        #: True if it looks at the changes of others.
        self.is_looking = True

    @property
    def leads(self) -> bool:
        return self.service.leads

    async def thaw(self) -> None:
        """Go on, or begin: its tasks run."""
        self.is_looking = True
        service = running_service(self.service, self.clock)
        await self._tasks.enter_async_context(service)
        # They sleep.
        await yield_to_loop()

    async def freeze(self) -> None:
        """Do nothing until it goes on, as a process that gets no CPU."""
        self.is_looking = False
        await self._tasks.aclose()
        self._tasks = AsyncExitStack()

    async def report(
        self,
        job: str,
        kind: Kind = Kind.FINISH,
        outcome: Outcome = Outcome.OK,
        **more: Any,
    ) -> ReportResult:
        """Send a report to this replica, now."""
        at = self.clock.now()
        # Two reports of a test are two, unless they have the same run id.
        mark = str(next(_marks)).encode()
        ping = Ping(
            job=job, kind=kind, at=at, outcome=outcome, fingerprint=mark, **more
        )
        return await self.service.record(ping)

    def state(self, job: str) -> JobState:
        """Return the state of a job as this replica has it."""
        return self.store.states[job]

    def open(self, job: str) -> set[str]:
        """Return the open conditions of a job as this replica has it."""
        return {one.key.condition.value for one in self.state(job).alerts}


class World:
    """Replicas that start, stop and freeze, and time that passes for all of them."""

    def __init__(self, backend: Backend, clock: ManualClock, config: JobConfig) -> None:
        self.backend = backend
        self.clock = clock
        self.config = config
        self.processes: dict[str, Process] = {}

    async def start(self, name: str, config: JobConfig | None = None) -> Process:
        """Start the replica *name*, also in the place of one that was stopped."""
        stack = AsyncExitStack()
        store = await self.backend.open(name, stack)
        process = Process(store, self.clock, config or self.config)
        process.stack = stack
        self.processes[name] = process
        await process.service.start()
        stack.push_async_callback(process.freeze)
        await process.thaw()
        return process

    async def stop(self, name: str) -> None:
        """Stop a replica in good order."""
        await self.processes.pop(name).stack.aclose()

    async def live(
        self, seconds: float, each_second: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """Let time pass."""
        for _ in range(int(seconds)):
            await self.look()
            await self.backend.advance(1.0)
            if each_second is not None:
                with suppress(StorageError):
                    await each_second()
        await self.look()

    async def look(self) -> None:
        """Make all replicas look at the changes of the others."""
        for process in self.processes.values():
            if process.is_looking:
                await self.backend.look(process.store)

    @property
    def leaders(self) -> Collection[str]:
        return [name for name, one in self.processes.items() if one.leads]

    async def alerts(self) -> Sequence[tuple[str, str, float]]:
        """Return job, condition and time of all alerts there have been, in order."""
        some = next(iter(self.processes.values()))
        return [
            (one.job, one.key.condition.value, one.opened_at)
            for one in reversed(await some.store.alerts())
        ]

    async def close(self) -> None:
        for name in [*self.processes]:
            await self.stop(name)
