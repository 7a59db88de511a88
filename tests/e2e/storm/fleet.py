"""The jobs of a storm: those that fail at one moment, and which of them are to blame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

#: Jobs of one chain, each of which requires the one before.
CHAIN: Final = 10
#: Jobs that require one and the same.
FAN_OUT: Final = 40

#: Reports in one request.
BATCH: Final = 1000

TEAMS: Final = 10


@dataclass(frozen=True, slots=True)
class Fleet:
    """*size* jobs, of which *failing* fail at one moment.

    A quarter of those are in chains, a quarter in fan-outs, and half stand alone.
    """

    size: int
    failing: int

    def requirements(self) -> dict[str, str]:
        """Return the job that each job of a chain or a fan-out requires."""
        part = self.failing // 4
        found: dict[str, str] = {}
        for number in range(part // CHAIN):
            names = [f"chain-{number:04d}-{place}" for place in range(CHAIN)]
            found |= dict(zip(names[1:], names, strict=False))
        for number in range(part // (FAN_OUT + 1)):
            root = f"fan-{number:04d}-root"
            found |= {f"fan-{number:04d}-{n:02d}": root for n in range(FAN_OUT)}
        return found

    @property
    def children(self) -> set[str]:
        """The jobs that fail because another one does: nobody is told of them."""
        return set(self.requirements())

    @property
    def roots(self) -> set[str]:
        """The jobs to blame: each is told, once."""
        required = self.requirements()
        heads = set(required.values()) - set(required)
        alone = self.failing - len(required) - len(heads)
        return heads | {f"alone-{number:06d}" for number in range(alone)}

    @property
    def broken(self) -> list[str]:
        """All jobs that fail, children before and after what they require."""
        names = sorted(self.roots | self.children)
        # The same in each run; nothing here is secret.
        Random(self.size).shuffle(names)
        return names

    @property
    def healthy(self) -> list[str]:
        """All other jobs."""
        return [f"ok-{number:06d}" for number in range(self.size - self.failing)]

    def config(self, alertmanager: str) -> str:
        """Return an afterrun.yml; *alertmanager* is what stands under that key.

        Jobs are registered by their first report, but for those that require others.
        """
        teams = "".join(
            f"  - {{match: {{name: '{digit}$'}}, labels: {{team: team-{digit}}}}}\n"
            for digit in range(TEAMS)
        )
        jobs = "".join(
            f"  {job}: {{depends_on: [{root}]}}\n"
            for job, root in self.requirements().items()
        )
        roots = sorted(set(self.requirements().values()) - self.children)
        jobs += "".join(f"  {root}: {{}}\n" for root in roots)
        return (
            f"labels: [team]\nlimits: {{jobs: {2 * self.size}}}\n"
            f"alertmanager:\n{alertmanager}policies:\n{teams}jobs:\n{jobs}"
        )


def batches(jobs: Sequence[str], status: str) -> Iterator[bytes]:
    """Yield requests with one report of each of *jobs*."""
    for at in range(0, len(jobs), BATCH):
        reports = ({"job": job, "status": status} for job in jobs[at : at + BATCH])
        yield "\n".join(map(json.dumps, reports)).encode()
