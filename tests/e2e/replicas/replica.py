"""Replicas of the daemon on one database."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import reduce
from operator import and_
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Final

from tests.e2e.daemon.daemon import Daemon, wait_until
from tests.e2e.replicas.asking import accepted
from tests.e2e.replicas.tcp_proxy import TcpProxy
from tests.patience import PATIENCE

LEADS: Final = "afterrun_leader"

#: No answer, or one that was broken off.
UNANSWERED: Final = (OSError, http.client.HTTPException)


class Replica(Daemon):
    """One of several daemons on one database, with logs of its own."""

    def __init__(self, folder: Path, name: str, storage: str) -> None:
        home = folder / name
        home.mkdir()
        super().__init__(home)
        self.name = name
        self.storage = storage

    @property
    def is_ready(self) -> bool:
        """True if it accepts reports; it fails if the process has ended."""
        return self._ready()

    @property
    def leads(self) -> bool:
        """True if it says that it does the work of the whole service."""
        return self._leading() == 1

    @property
    def follows(self) -> bool:
        """True if it says that it does not."""
        return self._leading() == 0

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend its process for a while."""
        self.send_signal(SIGSTOP)
        try:
            yield
        finally:
            self.send_signal(SIGCONT)

    def until_answers(self, status: int, path: str) -> None:
        """Return once it answers a GET with *status*."""
        what = f"{self.name} answers {status} to {path}"
        wait_until(lambda: status_of(self, path) == status, what, every=0.1)

    def until_says(self, text: str, path: str) -> None:
        """Return once the answer to a GET has *text*."""
        what = f"{self.name} answers {text!r} to {path}"
        wait_until(lambda: text in self.get(path).text, what, every=0.1)

    def lines_about_jobs(self) -> list[str] | None:
        """Return what it exposes of jobs, sorted; None for no 200.

        The jobs themselves are in the order in which each replica has learned of them.
        """
        try:
            answer = self.get("/metrics")
        except UNANSWERED:
            return None
        return about_jobs(answer.text) if answer.status == 200 else None

    def about_jobs(self) -> list[str]:
        """Return what it exposes of jobs, sorted, once it answers 200."""
        answer = accepted(self.get, "/metrics")
        assert answer.status == 200, answer
        return about_jobs(answer.text)

    def _leading(self) -> float | None:
        try:
            return self.series().get((LEADS, ""))
        except (*UNANSWERED, ValueError):
            return None


class Replicas:
    """Replicas that are started together, with the same configuration."""

    def __init__(self, folder: Path, storage: str | Sequence[str], number: int) -> None:
        addresses = [storage] * number if isinstance(storage, str) else storage
        self.all = [
            Replica(folder, f"replica-{name}", address)
            for name, address in zip("abcdef", addresses, strict=False)
        ]

    def __getitem__(self, number: int) -> Replica:
        return self.all[number]

    def __iter__(self) -> Iterator[Replica]:
        return iter(self.all)

    def configure(self, text: str) -> None:
        """Give all of them the same configuration file."""
        for replica in self.all:
            replica.configure(text)

    def start(self, *flags: str) -> None:
        """Start all of them at once; return when all accept reports."""
        for replica in self.all:
            replica.launch(*flags)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return when all of them accept reports."""
        for replica in self.all:
            wait_until(
                lambda replica=replica: replica.is_ready,  # type: ignore[misc]
                f"{replica.name} is ready: {replica.log[-2000:]}",
                PATIENCE,
                every=0.1,
            )

    def kill(self) -> None:
        """End all of them at once."""
        for replica in self.all:
            replica.kill()

    def leader(self) -> Replica:
        """Return the only one that leads, once there is exactly one."""
        leaders: list[Replica] = []

        def is_one() -> bool:
            leaders[:] = [replica for replica in self.all if replica.leads]
            return len(leaders) == 1

        wait_until(is_one, "there is one leader")
        return leaders[0]

    def until_leads(self, replica: Replica) -> None:
        """Return once *replica* leads."""
        wait_until(lambda: replica.leads, f"{replica.name} leads", every=0.1)

    def wait_until_agree(self) -> list[str]:
        """Return what all of them expose of jobs, once that is equal byte by byte."""
        seen: list[list[str] | None] = []

        def agree() -> bool:
            seen[:] = [replica.lines_about_jobs() for replica in self.all]
            return None not in seen and all(lines == seen[0] for lines in seen)

        try:
            wait_until(agree, "all replicas expose the same", every=0.25)
        except AssertionError:
            raise AssertionError(differences(seen)) from None
        assert seen[0] is not None
        return seen[0]


def about_jobs(text: str) -> list[str]:
    """Return the lines about jobs of what is exposed, sorted."""
    return sorted(line for line in text.splitlines() if 'job_name="' in line)


def differences(seen: Sequence[list[str] | None]) -> str:
    """Return in words what replicas expose differently."""
    texts = [Counter(lines or ["nothing at all"]) for lines in seen]
    common = reduce(and_, texts)
    odd = [f"{n}: {line}" for n, text in enumerate(texts) for line in text - common]
    return "\n".join(["the replicas differ", *sorted(odd)[:40]])


@contextmanager
def proxies_to(port: int, number: int) -> Iterator[list[TcpProxy]]:
    """Yield proxies to the database, one for each replica."""
    with ExitStack() as stack:
        yield [stack.enter_context(TcpProxy(port)) for _ in range(number)]


def elapse(seconds: float) -> None:
    """Return after so many seconds, in which other processes go on."""
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > over, "it is over", 2 * seconds + 60, 0.05)


def status_of(replica: Replica, path: str) -> int:
    """Return the status of the answer to a GET; 0 for none."""
    try:
        return replica.get(path).status
    except UNANSWERED:
        return 0
