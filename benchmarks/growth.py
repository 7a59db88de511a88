"""Time and work of changes at 10,000 and 100,000 jobs: each should grow linearly.

Receivers that are added over the API, reloads, `afterrun backtest` and the tests of
routes. Meanwhile reports arrive, and the table shows how long they took.

python -m benchmarks.growth [--quick] [receivers] [reload] [backtest] [routes]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter, process_time, sleep
from typing import Final

from afterrun_exporter import config as configs
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.rulegen import alertmanager
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from benchmarks.beats import held_since
from benchmarks.daemon import Daemon, free_port, serving
from benchmarks.fleet import Reports, age, config_text, read
from benchmarks.rounds import table

SIZES: Final = (10_000, 100_000)
QUICK: Final = (500, 2_000)
#: Receivers that are added one after another; as many are added at the same time.
RECEIVERS: Final = 2_000
#: Connections that add receivers at the same time.
CLIENTS: Final = 16
#: Runs that each job has behind it.
AGE: Final = 5
#: Seconds between two reports.
EVERY: Final = 0.01

HEAD: Final = ("what", "jobs", "takes", "CPU", "slowest 1 % of reports")

_AFTERRUN: Final = Path(sys.executable).with_name("afterrun")
_LABELS: Final = """
limits: {{jobs: 200000}}
labels: [team]
alertmanager:
  receivers:
    oncall:
      - webhook: {{url: "http://localhost:9/"}}
    data:
      - webhook: {{url: "http://localhost:9/data"}}
  receiver: oncall
  routes:
    - match: {{labels: {{team: data}}}}
      receivers: [data]
{more}"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one thing took."""

    seconds: float
    cpu: float
    #: How long each report took meanwhile.
    reports: list[float]

    def cells(self, what: str, jobs: int) -> tuple[str, ...]:
        """Return a line of the table."""
        late = sorted(self.reports)
        slow = f"{late[int(len(late) * 0.99)] * 1000:.0f} ms" if late else "-"
        return what, f"{jobs:,}", f"{self.seconds:.2f} s", f"{self.cpu:.2f} s", slow


@contextmanager
def reporting(daemon: Daemon, size: int) -> Iterator[list[float]]:
    """Report all the time; fill the list with how long each report took."""
    taken: list[float] = []
    stop = Event()

    def report() -> None:
        reports = Reports(size, "meanwhile")
        connection = HTTPConnection("127.0.0.1", daemon.port, timeout=120)
        while not stop.wait(EVERY):
            job, fields = reports.fields()
            began = perf_counter()
            connection.request("POST", f"/ping/{job}", json.dumps(fields))
            with connection.getresponse() as answer:
                answer.read()
            taken.append(perf_counter() - began)
            if answer.status != 200:
                raise RuntimeError(f"a report was answered {answer.status}")
        connection.close()

    thread = Thread(target=report)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


def measured(daemon: Daemon, size: int, act: Callable[[], None]) -> Cost:
    """Return what *act* took, while reports arrived."""
    with reporting(daemon, size) as taken:
        sleep(1.0)
        taken.clear()
        cpu, began = daemon.cpu(), perf_counter()
        act()
        seconds, cpu = perf_counter() - began, daemon.cpu() - cpu
    return Cost(seconds, cpu, taken)


def files(folder: Path, size: int, more: str = "") -> tuple[Path, Path]:
    """Write an afterrun.yml of *size* jobs and their database; return the two."""
    text, database = folder / f"{size}.yml", folder / f"{size}.db"
    text.write_text(config_text(size) + _LABELS.format(more=more), "utf-8")
    if not database.exists():

        async def fill() -> None:
            async with SQLiteStore.open(database) as store:
                await age(store, read(size).jobs, AGE)

        asyncio.run(fill())
    return text, database


def request(
    connection: HTTPConnection, method: str, path: str, body: Mapping[str, object]
) -> None:
    """Send *body*; fail unless the answer is a success."""
    headers = {"Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")


def _is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def real_alertmanager(folder: Path, port: int) -> Iterator[None]:
    """Run an Alertmanager on *folder*/alertmanager.yml until the end.

    The daemon writes that file a while after it is ready.
    """
    while not (folder / "alertmanager.yml").stat().st_size:
        sleep(0.1)
    command = (
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    with subprocess.Popen(command) as process:
        try:
            while not _is_ready(port):
                sleep(0.1)
            yield
        finally:
            process.terminate()


def receivers(folder: Path, size: int) -> Iterator[tuple[str, ...]]:
    """Add receivers over the API, with a real Alertmanager that reads each change."""
    port = free_port()
    kept = folder / f"alertmanager-{size}"
    (kept / "templates").mkdir(parents=True)
    (kept / "alertmanager.yml").write_text("")
    more = (
        f"  config_file: {kept / 'alertmanager.yml'}\n"
        f"  reload_url: http://127.0.0.1:{port}/-/reload\n"
    )
    text, database = files(folder, size, more)
    with serving(text, database) as daemon, real_alertmanager(kept, port):
        connection = HTTPConnection("127.0.0.1", daemon.port, timeout=120)

        def one_by_one() -> None:
            for number in range(RECEIVERS):
                add_one(connection, number)

        cost = measured(daemon, size, one_by_one)
        yield cost.cells(f"receivers: {RECEIVERS:,}, one after another", size)
        all_ = 2 * RECEIVERS
        cost = measured(daemon, size, lambda: add(daemon, RECEIVERS, all_))
        yield cost.cells(f"receivers: {RECEIVERS:,} more, {CLIENTS} at a time", size)
        cost = measured(daemon, size, lambda: add_one(connection, all_))
        yield cost.cells(f"receivers: one more beside {all_:,}", size)


def add(daemon: Daemon, first: int, last: int) -> None:
    """Add the receivers from *first* to *last*, over several connections."""
    numbers: SimpleQueue[int] = SimpleQueue()
    for number in range(first, last):
        numbers.put(number)

    def work() -> None:
        connection = HTTPConnection("127.0.0.1", daemon.port, timeout=120)
        try:
            while True:
                add_one(connection, numbers.get_nowait())
        except Empty:
            connection.close()

    threads = [Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not numbers.empty():
        raise RuntimeError(f"{numbers.qsize()} receivers were not added")


def add_one(connection: HTTPConnection, number: int) -> None:
    """Add one receiver."""
    body = {"alert_type": "webhook", "target": f"https://example.com/{number}"}
    request(connection, "POST", f"/api/v1/jobs/job-{number % 500:05d}/receivers", body)


def reload(folder: Path, size: int) -> Iterator[tuple[str, ...]]:
    """Reload a file that has not changed, one with one job more, and another one."""
    text, database = files(folder, size)
    before = text.read_text("utf-8")
    beats = folder / "beats"
    with serving(text, database, beats=beats) as daemon:
        daemon.get("/metrics")
        connection = HTTPConnection("127.0.0.1", daemon.port, timeout=300)

        def again() -> None:
            request(connection, "POST", "/-/reload", {})

        def cells(what: str) -> tuple[str, ...]:
            began = perf_counter()
            cost = measured(daemon, size, again)
            held = max((one.own for one in held_since(beats, began)), default=0.0)
            return cost.cells(f"reload: {what}; loop held {held * 1000:.0f} ms", size)

        again()
        yield cells("nothing changed")
        text.write_text(before.replace("jobs:", "jobs:\n  one-more: {every: 1h}", 1))
        yield cells("one job more")
        daemon.get("/metrics")
        text.write_text(before.replace("<= 5%", "<= 6%"))
        yield cells("every job changed")
    text.write_text(before, "utf-8")


def backtest(folder: Path, size: int) -> Iterator[tuple[str, ...]]:
    """Try the rules of the whole file on past runs."""
    text, database = files(folder, size)
    command = [str(_AFTERRUN), "backtest", "--json", f"--config.file={text}"]
    with serving(text, database) as daemon:
        command.append(f"--url=http://127.0.0.1:{daemon.port}")

        def run() -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        cost = measured(daemon, size, run)
        yield cost.cells(f"afterrun backtest, {AGE} runs of each", size)


def some_receivers(count: int) -> list[JobReceiver]:
    """Return receivers of *count* jobs."""
    mail, target = ReceiverType.EMAIL, "a@b.example"
    return [
        JobReceiver(id=n + 1, job=f"job-{n:05d}", type=mail, target=target)
        for n in range(count)
    ]


def routes(_: Path, size: int) -> Iterator[tuple[str, ...]]:
    """Generate alertmanager/ with its tests of routes, and count the tests."""
    config = configs.parse(config_text(size) + _LABELS.format(more=""))
    for count in (RECEIVERS // 4, RECEIVERS):
        cpu, began = process_time(), perf_counter()
        alertmanager.config_text(
            config.jobs, config.label_keys, config.alertmanager, some_receivers(count)
        )
        cost = Cost(perf_counter() - began, process_time() - cpu, [])
        yield cost.cells(f"alertmanager.yml with {count:,} receivers", size)
    some = some_receivers(100)
    began, cpu = perf_counter(), process_time()
    made = alertmanager.files(config.jobs, config.label_keys, config.alertmanager, some)
    cost = Cost(perf_counter() - began, process_time() - cpu, [])
    tests = made[alertmanager.DIRECTORY / "routes.test"].count("--verify.receivers=")
    yield cost.cells(f"alertmanager/ for 100 receivers: {tests:,} route tests", size)


KINDS: Final = {
    "receivers": receivers,
    "reload": reload,
    "backtest": backtest,
    "routes": routes,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], default=[])
    given = parser.parse_args()
    lines: list[tuple[str, ...]] = []
    with TemporaryDirectory() as folder:
        for kind in given.kinds or KINDS:
            for size in QUICK if given.quick else SIZES:
                for cells in KINDS[kind](Path(folder), size):
                    print(*cells, sep=" | ", file=sys.stderr, flush=True)
                    lines.append(cells)
    print(table(HEAD, lines))


if __name__ == "__main__":
    main()
