"""One replica among those that share the database: it follows the others, or leads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, TypeVar

import asyncpg
import structlog

from afterrun_exporter.clock import Clock
from afterrun_exporter.core.state import JobState
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import UnreadableRowError
from afterrun_exporter.storage.group_commit import Committed, GroupCommit
from afterrun_exporter.storage.outbox import Outbox
from afterrun_exporter.storage.postgres import beat, clock_offset, feed, loading
from afterrun_exporter.storage.postgres import outbox as outbox_rows
from afterrun_exporter.storage.postgres.beat import Pulse
from afterrun_exporter.storage.postgres.clock_offset import ClockOffset
from afterrun_exporter.storage.postgres.commits import register
from afterrun_exporter.storage.postgres.connections import Connections
from afterrun_exporter.storage.postgres.failures import FAULTS
from afterrun_exporter.storage.postgres.writes import Writer
from afterrun_exporter.storage.replicas import ChangedJobs, Downtime, Follower

T = TypeVar("T")

#: Seconds from one look at the changes of other replicas to the next.
POLL: Final = 0.25

#: Seconds from one sign of life to the next.
BEAT: Final = 1.0

#: Seconds after which the states in memory are out of date.
FRESH: Final = 5.0

#: Seconds without a commit, although there is something to commit, after which a
#: replica neither serves nor leads: what it exposes would be overdue.
STUCK: Final = 10.0

#: Seconds from one comparison of all stamps to the next, and without a look after which
#: one is necessary: the feed is not kept for ever.
RESYNC: Final = 3600.0
GAP: Final = 300.0

#: Jobs to put into memory in one step.
STEP: Final = 500

#: A job that has no newer state: it is only to be known whether it is being changed.
_UNCHANGED: Final = Committed(None, -1)

log = structlog.get_logger()


class Replica:
    """Implements `Replicas`; it looks for changes while `running`."""

    is_shared = True

    def __init__(
        self,
        secret: bytes,
        connections: Connections,
        writer: Writer,
        commits: GroupCommit,
        outbox: Outbox,
        clock: Clock,
        probe: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = writer.replica
        self.secret = secret
        self._connections = connections
        self._link = connections.poller
        self._writer = writer
        self._commits = commits
        self._outbox = outbox
        self._clock = clock
        #: Tries whether something can be committed. Raises StorageError.
        self._probe = probe
        self._follower: Follower | None = None
        #: The configuration of each live replica.
        self._configs: Mapping[str, str] = {self.name: ""}
        self._revisions: tuple[int, ...] = ()
        #: Jobs that were being changed here when their states were read, and those of
        #: them whose notifications changed.
        self._pending: set[int] = set()
        self._pending_outbox: set[int] = set()
        self._last_downtime: Downtime | None = None
        self._offset = ClockOffset(clock)
        #: The start of the last successful look, by both clocks.
        self._fresh_at: tuple[float, float] | None = None
        self._beat_at = self._resync_at = -float("inf")
        self._lead_until = -float("inf")
        self._has_led = False
        #: The connections until the last comparison of all stamps.
        self._compared = 0
        self._failure = ""
        #: True if nothing could be recorded at the last sign of life.
        self._is_stuck = False
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._looks: set[asyncio.Task[None]] = set()
        commits.follow(self._completed, self._adopted)

    @property
    def is_leader(self) -> bool:
        return (
            self._clock.elapsed() < self._lead_until
            and abs(self.clock_offset) < clock_offset.LEADING
        )

    @property
    def count(self) -> int:
        return len({*self._configs, self.name})

    @property
    def last_downtime(self) -> Downtime | None:
        return self._last_downtime

    @property
    def clock_offset(self) -> float:
        return self._offset.now()

    @property
    def conflicts(self) -> int:
        return self._commits.conflicts

    def outdated(self) -> str:
        elapsed, wall = self._clock.elapsed(), self._clock.now()
        age, offset = self._age(elapsed, wall), self._offset.at(elapsed, wall)
        if age >= FRESH:
            cause = f": {self._failure}" if self._failure else ""
            return f"the database was last read {age:.0f} s ago{cause}"
        if abs(offset) >= clock_offset.SERVING:
            direction = "ahead of" if offset > 0 else "behind"
            return (
                f"the clock of this machine is {abs(offset):.0f} s {direction} that of "
                "the database"
            )
        if self._is_stuck:
            writer = self._writer
            return (
                f"nothing could be recorded for {writer.failing_for():.0f} s: "
                f"{writer.failure}"
            )
        return ""

    def follow(self, follower: Follower) -> None:
        self._follower = follower

    def announce(self, config: str) -> None:
        self._writer.config = config
        # At the next look.
        self._beat_at = -float("inf")

    def agree(self) -> bool:
        others = (one for name, one in self._configs.items() if name != self.name)
        own = self._writer.config
        # One that is starting has announced none.
        return own != "" and all(one in {"", own} for one in others)

    def feed_lag(self) -> float:
        return self._age(self._clock.elapsed(), self._clock.now())

    async def catch_up(self) -> None:
        if self._next is None:
            self._next = asyncio.create_task(self._look_alone(), name="poll")
            self._looks.add(self._next)
            self._next.add_done_callback(self._looks.discard)
        await asyncio.wait({self._next})

    async def run(self) -> None:
        """Look for changes until canceled."""
        while True:
            await self.catch_up()
            await self._clock.sleep(POLL)

    async def look(self) -> None:
        """Give a sign of life if it is due, and apply the changes of other replicas.

        Raises StorageError and the errors of the driver.
        """
        began = self._clock.elapsed(), self._clock.now()
        elapsed = began[0]
        if elapsed - self._beat_at >= BEAT:
            await self._beat()
        is_gap = self._fresh_at is None or self.feed_lag() >= GAP
        if is_gap or elapsed - self._resync_at >= RESYNC:
            self._compared = 0
        is_cut = True
        while is_cut:
            is_cut = await self._link.run(self._poll)
        if self._failure:
            log.info("database_read_again", failed_for=round(self.feed_lag(), 3))
        self._fresh_at, self._failure = began, ""

    async def stop(self) -> None:
        """End the looks in progress."""
        looks = [*self._looks]
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    async def leave(self) -> None:
        """Release the lease, and count no longer as alive."""
        self._lead_until = -float("inf")
        await self._link.run(
            lambda one: beat.leave(one, self._writer.number, self.name)
        )

    def _age(self, elapsed: float, wall: float) -> float:
        """Return the age of the last look, at a time by both clocks."""
        if self._fresh_at is None:
            return float("inf")
        then, wall_then = self._fresh_at
        # A machine that is suspended from outside may only see the time of day jump.
        return max(elapsed - then, wall - wall_then)

    async def _look_alone(self) -> None:
        async with self._one_at_a_time:
            self._next = None
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the next look may succeed
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        is_first = not self._failure
        is_ours = isinstance(error, StorageError)
        self._failure = str(error) if is_ours else self._link.reason(error)
        if is_first:
            expected = StorageError, UnreadableRowError, *FAULTS
            bug = None if isinstance(error, expected) else error
            log.error("database_not_read", error=self._failure, exc_info=bug)

    async def _beat(self) -> None:
        began, wall = self._clock.elapsed(), self._clock.now()
        if self._writer.failing_for() >= STUCK:
            # No report is tried any more.
            with suppress(StorageError):
                await self._probe()
        is_stuck = self._writer.failing_for() >= STUCK
        may_lead = abs(self.clock_offset) < clock_offset.LEADING and not is_stuck
        records = self._writer.failing_since is None
        pulse = await self._link.run(
            lambda one: beat.beat(
                one,
                self._writer.number,
                self.name,
                self._writer.config,
                may_lead=may_lead,
                records=records,
            )
        )
        self._offset.measure(wall, pulse.now)
        if not pulse.is_known:
            await self._connections.writer.run(lambda one: register(one, self._writer))
        await self._note_lease(pulse, began)
        before, self._last_downtime = self._last_downtime, pulse.last_downtime
        if (down := pulse.last_downtime) and down != before and self._follower:
            self._follower.down(down)
        self._beat_at, self._is_stuck = began, is_stuck

    async def _note_lease(self, pulse: Pulse, began: float) -> None:
        leads = pulse.is_leader and abs(self.clock_offset) < clock_offset.LEADING
        if leads != self._has_led:
            log.info("leading" if leads else "leading_ended", replica=self.name)
        self._has_led = leads
        if not leads:
            self._lead_until = -float("inf")
            return
        if not self.is_leader:
            await self._link.run(self._load_outbox)
        self._lead_until = began + beat.LEASE

    async def _load_outbox(self, connection: asyncpg.Connection) -> None:
        """Read all notifications, and which of them the leader has delivered."""
        stamps_before = dict(self._commits.stamps)
        notices, deliveries = await outbox_rows.load(connection)
        stored_and_known = (*notices, *self._outbox.notices.values())
        jobs = dict.fromkeys((one.job for one in stored_and_known), _UNCHANGED)
        # The others are being changed, and their notifications are in memory.
        settled = self._commits.newer(jobs, stamps_before)
        self._outbox.replace(settled, [one for one in notices if one.job in settled])
        self._outbox.load_deliveries(deliveries)

    async def _poll(self, connection: asyncpg.Connection) -> bool:
        """Apply changes; return True if there may be more."""
        is_new = self._compared != self._link.connections
        if is_new:
            # Commits of unknown outcome, or those of a server that was replaced, may
            # have been undone: the stamps of all jobs are compared.
            self._writer.heads = await feed.heads(connection)
            ids = await loading.differing(connection, self._commits.stamps)
            await self._load(connection, ids, ids)
            await self._load_outbox(connection)
        news = await feed.poll(
            connection, self._writer.heads, self._writer.number, beat.ALIVE
        )
        jobs, outbox = news.jobs | self._pending, news.outbox | self._pending_outbox
        self._pending, self._pending_outbox = set(), set()
        try:
            await self._load(connection, jobs, outbox)
        except BaseException:
            self._pending, self._pending_outbox = jobs, outbox
            raise
        self._writer.heads = {**news.heads, **self._own_heads(news.heads)}
        self._configs = news.replicas
        self._note_revisions(news.revisions)
        if is_new:
            self._compared = self._link.connections
            self._resync_at = self._clock.elapsed()
        return news.is_cut

    def _own_heads(self, heads: Mapping[int, int]) -> dict[int, int]:
        """Return the last commit of this writer, which may be later than in *heads*."""
        number = self._writer.number
        return {number: max(self._writer.heads.get(number, 0), heads.get(number, 0))}

    async def _load(
        self,
        connection: asyncpg.Connection,
        ids: Iterable[int],
        outbox: Collection[int],
    ) -> None:
        """Put the states of jobs with *ids* into memory, if they are newer there.

        Also the notifications of those in *outbox*.
        """
        stamps, names = self._commits.stamps, self._writer.names
        for some in _steps([*ids], STEP):
            known_names = [name for id_ in some if (name := names.get(id_))]
            stamps_before = {name: stamps.get(name, 0) for name in known_names}
            ids_by_name, rows = await loading.changed(
                connection, some, stamps_before, self.last_run_known
            )
            with_notices = [name for name in rows if ids_by_name[name] in outbox]
            notices = (
                await outbox_rows.of_jobs(connection, with_notices)
                if with_notices
                else []
            )
            newer = self._commits.newer(rows, stamps_before)
            self._writer.note(ids_by_name)
            later = {ids_by_name[name] for name in rows.keys() - newer.keys()}
            self._pending |= later
            self._pending_outbox |= later & {*outbox}
            self._outbox.replace(
                [name for name in with_notices if name in newer],
                [one for one in notices if one.job in newer],
            )
            if newer:
                self._commits.adopt(newer)

    def last_run_known(self, job: str) -> int | None:
        """Return the number of the last run in the history of *job*; None without one."""
        if self._follower is None:
            return None
        return self._follower.last_run_known(job)

    def _completed(self, job: str, state: JobState, runs: bytes) -> JobState:
        if self._follower is None:
            return state
        return self._follower.completed(job, state, runs)

    def _adopted(self, changed: ChangedJobs) -> None:
        if self._follower is not None:
            self._follower.jobs_changed(changed)

    def _note_revisions(self, revisions: tuple[int, ...]) -> None:
        before, self._revisions = self._revisions, revisions
        if self._follower is None or before == revisions or not before:
            return
        pushed, receivers = (
            one != other for one, other in zip(before, revisions, strict=True)
        )
        if receivers:
            self._follower.receivers_changed()
        if pushed:
            self._follower.pushed_changed()


def _steps(items: list[T], size: int) -> Iterator[list[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
