"""Clients that report to any replica until one acknowledges, and remember it."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle
from typing import Any, Final

import aiohttp

from tests.e2e.daemon.daemon import wait_until
from tests.e2e.daemon.load import Ledger, Reports, reports_of
from tests.patience import PATIENCE

#: After this long a client asks another replica, as a load balancer would.
REQUEST_SECONDS: Final = 8.0

#: No answer, or that of a load balancer without a replica, or of a replica without a
#: database: the same report is sent again.
UNDELIVERED: Final = frozenset({0, 502, 503, 504})

#: Between two attempts.
PAUSE: Final = 0.1


class ReplicaLoad:
    """So many clients, each sending the next report once the last is acknowledged.

    What is refused or not answered is sent again, with the same run ids, to the next
    address. So the outcome of each report is known at the end.
    """

    def __init__(
        self,
        urls: Sequence[str],
        rng: random.Random,
        clients: int = 8,
        patience: float = REQUEST_SECONDS,
    ) -> None:
        self.ledger = Ledger()
        #: The status and text of each answer after which a report was sent again.
        self.refusals: list[tuple[int, str]] = []
        #: Answers by the address and status; 0 for no answer.
        self.statuses: Counter[tuple[str, int]] = Counter()
        #: Reports that each address has acknowledged.
        self.acknowledged: Counter[str] = Counter()
        self._urls = list(urls)
        self._patience = patience
        self._clients = [
            (f"client-{n}", random.Random(rng.random())) for n in range(clients)
        ]
        self._stopping = False
        self._given_up = False
        self._failed: list[BaseException] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send, in a thread, while the block runs; then until all is acknowledged."""

        def run() -> None:
            try:
                asyncio.run(self._run())
            except BaseException as error:  # noqa: BLE001 - raised by the test
                self._failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
            self._stopping = True
            thread.join(PATIENCE)
            assert not thread.is_alive(), "not all was acknowledged in the end"
        finally:
            self._stopping = self._given_up = True
            thread.join()
        self._check()

    def wait_for(self, more: int, *urls: str) -> None:
        """Return when these addresses, or all, have acknowledged so many more each."""
        before = {url: self.acknowledged[url] for url in urls or self._urls}
        wait_until(
            lambda: all(
                self.acknowledged[url] >= n + more for url, n in before.items()
            ),
            f"{more} more reports are acknowledged",
            PATIENCE,
        )

    def wait_for_refusals(self, more: int) -> None:
        """Return when so many more requests have not been acknowledged."""
        before = self._refusals()
        wait_until(
            lambda: self._refusals() >= before + more,
            f"{more} requests are refused",
            PATIENCE,
        )

    def _check(self) -> None:
        if self._failed:
            raise self._failed[0]

    def _refusals(self) -> int:
        return sum(n for (_, status), n in list(self.statuses.items()) if status != 200)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self._patience)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector
        ) as session:
            clients = (self._client(session, *client) for client in self._clients)
            await asyncio.gather(*clients)

    async def _client(
        self, session: aiohttp.ClientSession, name: str, rng: random.Random
    ) -> None:
        ids = (f"{name}-{n}" for n in count())
        urls = cycle(rng.sample(self._urls, len(self._urls)))
        while not self._stopping:
            reports = reports_of(rng, ids)
            if len(reports) == 1 and rng.random() < 0.3:
                (report,) = reports
                start = {"status": "start", "run_id": report.run_id}
                await self._until_acknowledged(
                    session, urls, f"/ping/{report.job}", start
                )
            await self._report(session, urls, reports)

    async def _report(
        self, session: aiohttp.ClientSession, urls: Iterator[str], reports: Reports
    ) -> None:
        body: Any = [{"job": one.job, **one.body} for one in reports]
        path = "/ping"
        if len(reports) == 1:
            path, body = f"/ping/{reports[0].job}", reports[0].body
        answer = await self._until_acknowledged(session, urls, path, body)
        if answer is None:
            self.ledger.unanswered.append(reports)
            return
        results = [answer] if len(reports) == 1 else answer.get("results", [])
        outcomes = [result.get("outcome") for result in results]
        if outcomes != [report.outcome for report in reports]:
            self.ledger.strange.append(f"{answer} to {reports}")
        self.ledger.answered |= {report.key: report for report in reports}

    async def _until_acknowledged(
        self, session: aiohttp.ClientSession, urls: Iterator[str], path: str, body: Any
    ) -> Any:
        while not self._given_up:
            url = next(urls)
            status, text = await _post(session, f"{url}{path}", body)
            self.statuses[url, status] += 1
            if status == 200:
                self.acknowledged[url] += 1
                return json.loads(text)
            if status not in UNDELIVERED:
                self.ledger.strange.append(f"{status} {text} to {body}")
                return None
            self.refusals.append((status, text))
            await asyncio.sleep(PAUSE)
        return None


async def _post(
    session: aiohttp.ClientSession, url: str, body: object
) -> tuple[int, str]:
    """Return the status and the text of an answer; 0 for no answer."""
    try:
        async with session.post(url, data=json.dumps(body)) as answer:
            return answer.status, await answer.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return 0, ""
