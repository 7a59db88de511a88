"""Clients that ping as fast as they are answered, and remember every answer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import aiohttp

from tests.patience import PATIENCE

TIMEOUT: Final = aiohttp.ClientTimeout(total=PATIENCE)

#: These are in the configuration file, with a rule; the others come unannounced.
RULED: Final = tuple(f"ruled-{n}" for n in range(20))
JOBS: Final = (*RULED, *(f"free-{n}" for n in range(20)))

#: A run: its job and its id.
RunKey = tuple[str, str]


def configuration() -> str:
    """Return the afterrun.yml that the expectations below are about."""
    jobs = "".join(f"  {job}: {{rules: [rows > 0]}}\n" for job in RULED)
    return f"jobs:\n{jobs}"


@dataclass(frozen=True, slots=True)
class Report:
    """One finish, and what is to be made of it."""

    job: str
    run_id: str
    status: str
    rows: int

    @property
    def key(self) -> RunKey:
        """Names the run."""
        return self.job, self.run_id

    @property
    def outcome(self) -> str:
        """How the run ends."""
        if self.status == "ok" and self.rows == 0 and self.job in RULED:
            return "violated"
        return self.status

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        metrics = {"rows": self.rows}
        return {"status": self.status, "run_id": self.run_id, "metrics": metrics}


#: What one request reports; more than one is a batch.
Reports = tuple[Report, ...]


@dataclass
class Ledger:
    """What the clients know of what they sent."""

    #: Finishes that were answered 200.
    answered: dict[RunKey, Report] = field(default_factory=dict)
    #: Starts that were answered 200 and whose finish has not been sent.
    open: set[RunKey] = field(default_factory=set)
    #: Requests on which no complete answer came.
    unanswered: list[Reports] = field(default_factory=list)
    #: Answers nobody should get.
    strange: list[str] = field(default_factory=list)


class Load:
    """So many connections, each sending the next ping once the last is answered."""

    def __init__(self, url: str, rng: random.Random, name: str, clients: int) -> None:
        self.ledger = Ledger()
        self._url = url
        self._clients = [
            (f"{name}-{n}", random.Random(rng.random())) for n in range(clients)
        ]
        self._stopping = False

    async def run(self) -> None:
        """Send until `stop` is called, or nobody answers any more."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            self._url, timeout=TIMEOUT, connector=connector
        ) as session:
            await asyncio.gather(
                *(self._client(session, *client) for client in self._clients)
            )

    def stop(self) -> None:
        """Let every client finish what it is at, and no more."""
        self._stopping = True

    async def _client(
        self, session: aiohttp.ClientSession, name: str, rng: random.Random
    ) -> None:
        ids = (f"{name}-{n}" for n in count())
        while not self._stopping:
            reports = reports_of(rng, ids)
            if len(reports) == 1 and rng.random() < 0.3:
                (report,) = reports
                if not await self._start(session, report):
                    return
                self.ledger.open.discard(report.key)
            if not await self.send(session, reports):
                self.ledger.unanswered.append(reports)
                return

    async def _start(self, session: aiohttp.ClientSession, report: Report) -> bool:
        start = {"status": "start", "run_id": report.run_id}
        answer = await _post(session, f"/ping/{report.job}", start)
        if answer is None:
            return False
        self._check(answer, 200, None)
        self.ledger.open.add(report.key)
        return True

    async def send(self, session: aiohttp.ClientSession, reports: Reports) -> bool:
        """Send one request; return whether it was answered, and note what."""
        if len(reports) == 1:
            (report,) = reports
            answer = await _post(session, f"/ping/{report.job}", report.body)
            told = None if answer is None else [answer[1]]
        else:
            batch = [{"job": report.job, **report.body} for report in reports]
            answer = await _post(session, "/ping", batch)
            told = None if answer is None else answer[1].get("results", [])
        if answer is None or told is None:
            return False
        if answer[0] != 200 or len(told) != len(reports):
            self.ledger.strange.append(f"{answer} to {reports}")
            return True
        for report, verdict in zip(reports, told, strict=True):
            self._check((200, verdict), 200, report.outcome)
            self.ledger.answered[report.key] = report
        return True

    def _check(self, answer: tuple[int, Any], status: int, outcome: str | None) -> None:
        if (answer[0], answer[1].get("outcome")) != (status, outcome):
            self.ledger.strange.append(f"{answer}, expected {status} and {outcome}")


async def resend(url: str, ledger: Ledger) -> None:
    """Send again what was not answered, as a client does that retries."""
    load = Load(url, random.Random(0), "", 0)
    load.ledger = ledger
    async with aiohttp.ClientSession(url, timeout=TIMEOUT) as session:
        for reports in ledger.unanswered:
            if not await load.send(session, reports):
                ledger.strange.append(f"no answer to {reports}")
    ledger.unanswered.clear()


def reports_of(rng: random.Random, ids: Iterator[str]) -> Reports:
    # A batch names each job once: so no job gets more reports between a kill
    # and their repeats than it remembers.
    size = 1 if rng.random() < 0.7 else rng.randrange(2, 11)
    return tuple(
        Report(
            job=job,
            run_id=next(ids),
            status=rng.choice(("ok", "ok", "ok", "fail")),
            rows=rng.choice((0, 1, 120)),
        )
        for job in rng.sample(JOBS, size)
    )


async def _post(
    session: aiohttp.ClientSession, path: str, body: object
) -> tuple[int, Any] | None:
    try:
        async with session.post(path, data=json.dumps(body)) as answer:
            return answer.status, await answer.json(content_type=None)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
