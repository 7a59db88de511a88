"""The replicas of a service: processes that share one database.

A store in a file has one: there `SoleReplica` serves.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from afterrun_exporter.core.state import JobState

#: Jobs that another replica has changed, each with its state before; None for a new one.
ChangedJobs = Mapping[str, JobState | None]


class Downtime(NamedTuple):
    """A period in Unix seconds in which no replica could record a report."""

    since: float
    until: float


class Follower(Protocol):
    """Acts on changes by other replicas, right after the store has applied them."""

    def last_run_known(self, job: str) -> int | None:
        """Return the number of the run up to which the history of *job* is known.

        None for a job without windows, which needs no history. The store reads the later
        runs together with a state of the job from another replica.
        """

    def completed(self, job: str, state: JobState, runs: bytes) -> JobState:
        """Return *state*, read from the database, with all that is only in memory.

        Those are the history (core/history.py) as known here, extended by *runs* in the
        format of `Store.histories`, and the ratios of its windows. The store calls it
        for each state from another replica, before it replaces the known one.
        """

    def jobs_changed(self, changed: ChangedJobs) -> None:
        """Act on the new states of jobs, which `Store.states` has already.

        Also on those found by a lost comparison, before the change is decided again.
        """

    def down(self, downtime: Downtime) -> None:
        """Act on a downtime of the whole service, before anything else is exposed."""

    def receivers_changed(self) -> None:
        """Act on receivers that were added or removed."""

    def pushed_changed(self) -> None:
        """Act on groups of pushed metrics that were stored or deleted."""


class Replicas(Protocol):
    """The replicas of a service that share one database, seen by one of them."""

    @property
    def is_shared(self) -> bool:
        """True if other replicas may write to the same database."""

    @property
    def is_leader(self) -> bool:
        """True while this replica does the work of the whole service.

        That is clock work, posting to Alertmanagers, pruning and the managed files. Two
        leaders at once do no harm.
        """

    @property
    def count(self) -> int:
        """The number of replicas that are alive, with this one; at least 1."""

    @property
    def last_downtime(self) -> Downtime | None:
        """The last downtime of the whole service; None if there was none."""

    @property
    def secret(self) -> bytes:
        """A random key that all replicas have, and nobody else."""

    async def catch_up(self) -> None:
        """Apply the changes that other replicas have committed before this call.

        Calls at the same time share one look. Returns without an error if the database
        does not respond.
        """

    def outdated(self) -> str:
        """Return the reason why the states may be out of date; "" if they are not.

        It is determined at the time of the call, so that a process that was suspended
        exposes nothing that is out of date.
        """

    def follow(self, follower: Follower) -> None:
        """Tell *follower* about changes by other replicas from now on."""

    def announce(self, config: str) -> None:
        """Tell the other replicas which configuration this one uses, as a hash."""

    def agree(self) -> bool:
        """Return True if every live replica has announced the configuration of this one.

        That is the last one announced here, even if the database does not have it yet.
        A replica that is starting has announced none, has used none, and does not count.
        """

    def feed_lag(self) -> float:
        """Return the age in seconds of the last look at changes by other replicas."""

    @property
    def clock_offset(self) -> float:
        """The seconds by which the clock here is ahead of that of the database."""

    @property
    def conflicts(self) -> int:
        """The number of changes decided again, because another replica came first."""


class SoleReplica:
    """Implements `Replicas` for a database that one process uses alone."""

    is_shared = False
    is_leader = True
    count = 1
    last_downtime: Downtime | None = None
    clock_offset = 0.0
    conflicts = 0

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(32)

    async def catch_up(self) -> None:
        """Do nothing: nobody else changes anything."""

    def outdated(self) -> str:
        return ""

    def follow(self, follower: Follower) -> None:
        """Do nothing: nobody else changes anything."""

    def announce(self, config: str) -> None:
        """Do nothing: nobody else reads it."""

    def agree(self) -> bool:
        return True

    def feed_lag(self) -> float:
        return 0.0
