"""The replicas of a service: processes that share one database.

A store in a file has one: there `SoleReplica` serves.
"""

from __future__ import annotations

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

    def jobs_changed(self, changed: ChangedJobs) -> None:
        """Act on the new states of jobs, which `Store.states` has already."""

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
        """Return True if every live replica has announced the configuration of this one."""

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
