"""How long do the files of 10,000 jobs take: to generate, and to load?

``python -m benchmarks.generate dedicated`` measures one round with alerting rules of
their own for all of them, for information: that takes minutes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from benchmarks.daemon import free_port
from benchmarks.rounds import Measured, table, verdict

JOBS: Final = 10_000
#: How many of them have alerting rules of their own.
DEDICATED: Final = 100
ROUTES: Final = 20
ROUNDS: Final = 3
#: In seconds: for generating, and for each program that loads what came of it.
GENERATE_BAR: Final = 5.0
LOAD_BAR: Final = 2.0

#: A program that has not started or loaded by then never will.
PATIENCE: Final = 600.0

_HOST: Final = "127.0.0.1"
_AFTERRUN: Final = Path(sys.executable).with_name("afterrun")
_SEVERITIES: Final = ("info", "warning", "critical")

_JOB: Final = """
  job-{number:05d}:
    description: Copy part {number} of the data
    schedule: "{minute} {hour} * * *"
    grace: 30m
    max_runtime: 1h
    severity: {severity}
    labels: {{team: team-{team}, tier: tier-{tier}, region: region-{region}}}
    project: project-{project}
    tags: [tag-{tag}, kind-{kind}]
    rules:
      - rows_processed >= 0.5 * previous
      - {{expr: error_ratio <= 5%, severity: {other}}}
    alerting: {alerting}
"""

#: What routes go by, in turn.
_MATCHES: Final = (
    "tags: tag-{fifth}",
    "project: project-{number}",
    'job: "^job-{number:02d}"',
    "severity: critical, labels: {{team: team-{number}}}",
)


def config_text(dedicated: int) -> str:
    """Return an afterrun.yml of all jobs, so many of them `alerting: dedicated`."""
    jobs = (
        _JOB.format(
            number=n,
            minute=n % 60,
            hour=n // 60 % 24,
            severity=_SEVERITIES[n % 3],
            other=_SEVERITIES[(n + 1) % 3],
            team=n % 20,
            tier=n % 3,
            region=n % 5,
            project=n % 50,
            tag=n % 5,
            kind=n % 7,
            alerting="generic" if n % (JOBS // dedicated) else "dedicated",
        )
        for n in range(JOBS)
    )
    receivers = (
        f"    team-{n}: [{{webhook: {{url: 'http://localhost:9/{n}'}}}}]\n"
        for n in range(ROUTES)
    )
    routes = (
        f"    - {{match: {{{_MATCHES[n % len(_MATCHES)].format(number=n, fifth=n % 5)}}}, "
        f"receivers: [team-{n}], continue: true}}\n"
        for n in range(ROUTES)
    )
    return (
        "labels: [team, tier, region]\n"
        f"jobs:{''.join(jobs)}"
        f"alertmanager:\n  receivers:\n{''.join(receivers)}"
        f"  routes:\n{''.join(routes)}"
    )


class Loading:
    """What loading the same file again and again came to."""

    def __init__(self, config: Path, without: str, with_it: str) -> None:
        self._config = config
        self._texts = (without, with_it)
        self.rounds: list[float] = []

    def start_without(self) -> None:
        """Leave the file out."""
        self._config.write_text(self._texts[0], "utf-8")

    def once(self, port: int) -> None:
        """Let the program on *port* forget the file, and measure its loading it."""
        self.start_without()
        _ask(port, "POST", "/-/reload")
        self._config.write_text(self._texts[1], "utf-8")
        began = perf_counter()
        # Answered when all of it is loaded.
        _ask(port, "POST", "/-/reload")
        self.rounds.append(perf_counter() - began)


def generate(config: Path, folder: Path) -> float:
    """Return how long the whole process took."""
    command = (_AFTERRUN, "generate", f"--config.file={config}", f"--out={folder}")
    began = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - began


def load_prometheus(folder: Path, rounds: int) -> list[float]:
    """Return how long Prometheus took to load the rules below *folder*."""
    rules = folder / "rules/afterrun.rules.yml"
    config = folder / "prometheus.yml"
    loading = Loading(config, "{}", f"rule_files: [{rules}]")
    loading.start_without()
    options = (
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        "--web.enable-lifecycle",
    )
    with _running(("prometheus",), options) as port:
        for _ in range(rounds):
            loading.once(port)
        metrics = _ask(port, "GET", "/metrics")
    groups = re.findall(r"(?m)^  - name: ", rules.read_text("utf-8"))
    _expect(metrics.count("\nprometheus_rule_group_rules{"), len(groups), "groups")
    return loading.rounds


def load_alertmanager(folder: Path, rounds: int) -> list[float]:
    """Return how long Alertmanager took to load its files below *folder*."""
    config = folder / "alertmanager/alertmanager.yml"
    without = "route: {receiver: a}\nreceivers: [{name: a}]\n"
    loading = Loading(config, without, config.read_text("utf-8"))
    loading.start_without()
    options = (
        f"--config.file={config}",
        f"--storage.path={folder / 'am'}",
        "--cluster.listen-address=",
    )
    names = ("prometheus-alertmanager", "alertmanager")
    with _running(names, options) as port:
        for _ in range(rounds):
            loading.once(port)
        receivers = _ask(port, "GET", "/api/v2/receivers")
    # Those of the configuration and the one that tells nobody.
    _expect(receivers.count('"name"'), ROUTES + 1, "receivers")
    return loading.rounds


@contextmanager
def _running(names: tuple[str, ...], options: tuple[str, ...]) -> Iterator[int]:
    """Run the first of these programs that is there; yield the port it listens on."""
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise RuntimeError(f"{names[0]} is missing: run make system-packages")
    port = free_port()
    command = (program, *options, f"--web.listen-address={_HOST}:{port}")
    with subprocess.Popen((*command, "--log.level=error")) as process:
        try:
            _await(lambda: _ask(port, "GET", "/-/ready"), process)
            yield port
        finally:
            process.terminate()


def _await(ready: Callable[[], str], process: subprocess.Popen[bytes]) -> None:
    end = perf_counter() + PATIENCE
    while perf_counter() < end and process.poll() is None:
        try:
            ready()
        except (OSError, HTTPException, RuntimeError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not get ready")


def _ask(port: int, method: str, path: str) -> str:
    connection = HTTPConnection(_HOST, port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{method} {path}: {answer.status}: {body[:500]}")
    return body


def _expect(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise RuntimeError(f"{found} {what} were loaded, not {expected}")


def measure(dedicated: int, rounds: int) -> tuple[list[str], list[list[float]]]:
    """Return what was measured and how long each round of it took."""
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        config = folder / "afterrun.yml"
        config.write_text(config_text(dedicated), "utf-8")
        times = [generate(config, folder) for _ in range(rounds)]
        rules = (folder / "rules/afterrun.rules.yml").stat().st_size
        routes = (folder / "alertmanager/alertmanager.yml").stat().st_size
        whats = [
            "afterrun generate",
            f"Prometheus loads rules/, {rules / 2**20:.3g} MiB",
            f"Alertmanager loads alertmanager.yml, {routes / 2**10:.3g} KiB",
        ]
        loaded = [load_prometheus(folder, rounds), load_alertmanager(folder, rounds)]
    return whats, [times, *loaded]


def main() -> int:
    """Print the table; return 1 when a bar is missed."""
    everybody = sys.argv[1:] == ["dedicated"]
    dedicated, rounds = (JOBS, 1) if everybody else (DEDICATED, ROUNDS)
    whats, found = measure(dedicated, rounds)
    bars = (GENERATE_BAR, LOAD_BAR, LOAD_BAR)
    lines, missed = [], False
    for what, times, bar in zip(whats, found, bars, strict=True):
        if everybody:
            lines.append((what, f"{times[0]:.3g} s", ""))
            continue
        took = Measured(times)
        missed |= took.median > bar
        lines.append((what, took.seconds(), verdict(took.median, bar)))
    print(f"{JOBS:,} jobs, {dedicated:,} of them dedicated, {ROUTES} routes\n")
    print(table(("what", "time", "bar, in seconds"), lines))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
