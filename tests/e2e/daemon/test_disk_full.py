"""A disk without room: nothing is accepted that cannot be kept, and nothing breaks."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from signal import SIGHUP

import pytest

from tests.e2e.daemon.conftest import MakeDaemon
from tests.e2e.daemon.daemon import Answer, Daemon, wait_until
from tests.e2e.daemon.disks import small_disk

#: Enough for the daemon to start, and little enough to be full soon.
ROOM = 400_000

CONFIG = "jobs: {backup: {}}"

ERRORS = "afterrun_storage_errors_total", ""


@dataclass(frozen=True, slots=True)
class Place:
    """A daemon whose disk can be filled."""

    daemon: Daemon
    fill: Callable[[], None]
    make_room: Callable[[], None]


@pytest.fixture(params=["disk", "limit"])
def place(
    request: pytest.FixtureRequest, make_daemon: MakeDaemon, tmp_path: Path
) -> Iterator[Place]:
    """A small disk where one may be mounted; files that may not grow, everywhere."""
    if request.param == "disk":
        with small_disk(tmp_path / "disk") as disk:
            daemon = make_daemon(disk.path / "afterrun.db")
            daemon.configure(CONFIG)
            daemon.start()
            disk.fill(leave=ROOM)
            yield Place(daemon, disk.fill, disk.make_room)
            daemon.kill()
    else:
        daemon = make_daemon()
        daemon.configure(CONFIG)
        daemon.start()
        limit_files(daemon, ROOM)
        yield Place(
            daemon,
            lambda: limit_files(daemon, log_size(daemon)),
            lambda: limit_files(daemon, resource.RLIM_INFINITY),
        )


def limit_files(daemon: Daemon, size: int) -> None:
    """Let no file of the daemon grow beyond *size* bytes."""
    _, most = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, most))


def log_size(daemon: Daemon) -> int:
    """Return the bytes of the write-ahead log, the largest of the daemon's files."""
    return Path(f"{daemon.database}-wal").stat().st_size


def use_up_last_page(file: Path) -> None:
    """Leave no room in what the file has of the disk already."""
    with file.open("ab") as log:
        log.write(b"\n" * (-log.tell() % resource.getpagesize()))


def report(daemon: Daemon, run_id: str) -> Answer:
    """Report a run with a lot to say."""
    return daemon.post("/ping/backup", {"run_id": run_id, "message": "x" * 8_000})


def until_refused(daemon: Daemon) -> tuple[list[str], Answer]:
    """Return the runs that were taken, and the answer to the first that was not."""
    taken: list[str] = []
    for number in count():
        answer = report(daemon, f"run-{number}")
        if answer.status != 200:
            return taken, answer
        taken.append(f"run-{number}")
    raise AssertionError


def recorded(daemon: Daemon) -> list[str]:
    """Return the runs that are on disk."""
    return [run_id for (run_id,) in daemon.rows("SELECT run_id FROM runs ORDER BY id")]


def config_info(daemon: Daemon) -> str:
    """Return which configuration is said to be in force."""
    lines = daemon.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith("afterrun_config_info")]
    return line


def test_a_ping_that_cannot_be_kept_is_refused(place: Place) -> None:
    """The client learns that it is to send it again, and when."""
    _, answer = until_refused(place.daemon)

    assert answer.status == 503
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.headers["Retry-After"] == "5"
    problem = answer.json()
    assert problem["title"] == "Service Unavailable"
    assert problem["detail"].startswith(f"cannot write to {place.daemon.database}: ")
    assert problem["detail"].endswith("; nothing was recorded: send it again")


def test_a_batch_that_cannot_be_kept_is_refused_whole(place: Place) -> None:
    """It is one transaction: there is no half of it."""
    until_refused(place.daemon)
    place.fill()
    batch = [{"job": f"job-{n}", "message": "x" * 8_000} for n in range(50)]

    answer = place.daemon.post("/ping", batch)

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"
    assert place.daemon.rows("SELECT name FROM jobs") == [("backup",)]


def test_a_full_disk_is_seen_by_prometheus(place: Place) -> None:
    """The metrics are there, they say so, and they count what was taken."""
    assert place.daemon.series()[ERRORS] == 0
    taken, _ = until_refused(place.daemon)
    place.fill()
    report(place.daemon, "once-more")

    series = place.daemon.series()

    # One for each, and one for each attempt of the daemon: it makes one in 5 seconds.
    assert series[ERRORS] >= 2
    assert series["afterrun_job_runs_total", "backup"] == len(taken)
    assert place.daemon.get("/-/healthy").status == 200
    assert place.daemon.get("/").status == 200


def test_with_room_again_pings_are_taken_again(place: Place) -> None:
    """Without a restart; what was refused and sent again is there once."""
    daemon = place.daemon
    taken, _ = until_refused(daemon)
    refused = f"run-{len(taken)}"
    place.fill()
    assert [report(daemon, refused).status for _ in range(3)] == [503] * 3

    place.make_room()
    answer = report(daemon, refused)

    assert answer.status == 200
    assert answer.json()["duplicate"] is False
    assert report(daemon, refused).json()["duplicate"] is True
    assert recorded(daemon) == [*taken, refused]
    assert daemon.series()["afterrun_job_runs_total", "backup"] == len(taken) + 1


def test_a_full_disk_does_not_stand_in_the_way_of_a_stop(place: Place) -> None:
    """And what was taken before is there after the next start."""
    daemon = place.daemon
    taken, _ = until_refused(daemon)
    place.fill()

    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
    assert recorded(daemon) == taken


def test_kill_9_on_a_full_disk_loses_nothing(place: Place) -> None:
    """What was answered is in the log of the database, and is found there."""
    daemon = place.daemon
    taken, _ = until_refused(daemon)
    place.fill()
    daemon.kill()

    assert recorded(daemon) == taken


def test_a_log_that_cannot_be_written_harms_nothing(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """A full disk for its log is no reason to stop watching, or to stop badly."""
    with small_disk(tmp_path / "disk") as disk:
        daemon = make_daemon(logs=disk.path)
        daemon.configure(CONFIG)
        daemon.start()
        use_up_last_page(disk.path / "stderr.txt")
        disk.fill()
        daemon.configure("jobs: {backup: {grace: never}}")
        refused = daemon.post("/-/reload")
        daemon.configure("jobs: {backup: {}, sync: {}}")
        reloaded = daemon.post("/-/reload")
        unreadable = daemon.request("POST", "/ping/backup", '{"rows": ,}')
        ran = daemon.get("/ping/backup")

        assert refused.status == 500
        assert "jobs.backup.grace" in refused.json()["detail"]
        assert reloaded.status == 200
        assert unreadable.status == 400
        assert ran.status == 200
        assert daemon.stop() == 0


def test_a_start_on_a_full_disk_is_one_line(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """It does not pretend to take pings."""
    with small_disk(tmp_path / "disk") as disk:
        disk.fill()
        daemon = make_daemon(disk.path / "afterrun.db")

        ended = daemon.ended()

    assert (ended.code, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"afterrun: cannot use database '{daemon.database}': ")


def test_what_could_not_be_noticed_is_noticed_when_there_is_room(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """With nothing written, not even to the log, the daemon keeps on watching."""
    with small_disk(tmp_path / "disk") as disk:
        daemon = make_daemon(disk.path / "afterrun.db", logs=disk.path)
        daemon.configure("min_visible: 5s\njobs: {backup: {rules: [rows > 0]}}")
        daemon.start()
        violated = "afterrun_job_rule_violated", "backup"

        def is_full_in_time() -> bool:
            disk.make_room()
            daemon.post("/ping/backup", {"metrics": {"rows": 0}})
            # Healed, and shown for a while: that it is over is for the daemon to see.
            daemon.post("/ping/backup", {"metrics": {"rows": 1}})
            use_up_last_page(disk.path / "stderr.txt")
            disk.fill()
            return daemon.series()[violated] == 1

        wait_until(is_full_in_time, "the disk is full before it is over")
        wait_until(lambda: daemon.series()[ERRORS] > 0, "it could not be recorded")

        disk.make_room()

        wait_until(lambda: daemon.series()[violated] == 0, "it is noticed")
        assert daemon.stop() == 0


@pytest.mark.parametrize("by_signal", [False, True], ids=["request", "signal"])
def test_a_reload_that_cannot_be_recorded_is_refused(
    place: Place, by_signal: bool
) -> None:
    """The old configuration stays in force, and that is what the metrics say."""
    daemon = place.daemon
    until_refused(daemon)
    place.fill()
    before = config_info(daemon)
    many = "".join(f"  job-{n}: {{}}\n" for n in range(2_000))
    daemon.configure(f"jobs:\n  backup: {{}}\n{many}")

    if by_signal:
        daemon.send_signal(SIGHUP)
        wait_until(lambda: "msg=config_refused" in daemon.log, "it is logged")
    else:
        assert daemon.post("/-/reload").status == 503

    series = daemon.series()
    assert ("afterrun_job_runs_total", "job-0") not in series
    assert config_info(daemon) == before
    assert series["afterrun_config_last_reload_successful", ""] == 0

    place.make_room()
    assert daemon.post("/-/reload").status == 200
    assert daemon.series()["afterrun_config_last_reload_successful", ""] == 1
    assert config_info(daemon) != before
