"""Starting, stopping, reloading: what an operator does to the daemon."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from urllib.parse import quote

import pytest

from afterrun_exporter.ingest.refusals import A_MINUTE
from tests.processes.conftest import MakeDaemon
from tests.processes.daemon import (
    HOST,
    Daemon,
    free_port,
    request,
    until,
    wait_until,
)
from tests.processes.load import JOBS, Load, RunKey, configuration

#: No one may make files here, not even root.
READ_ONLY = Path("/proc/afterrun.db")

RUNS_TOTAL = "afterrun_job_runs_total"

ReloadBy = Callable[[Daemon], None]

BAD_CONFIG = """\
defaults: {grace: soon}
jobs:
  backup: {every: 1h, grcae: 5m}
  sync: {every: never}
"""


def problems(daemon: Daemon) -> list[str]:
    """Return what is to be said about `BAD_CONFIG`: where each problem is."""
    return [
        f"{daemon.config}:1: defaults.grace: ",
        f"{daemon.config}:3: jobs.backup.grcae: unknown key; did you mean 'grace'?",
        f"{daemon.config}:4: jobs.sync.every: ",
    ]


def count(daemon: Daemon) -> int:
    """Return how many runs are recorded."""
    ((runs,),) = daemon.rows("SELECT count(*) FROM runs")
    return int(runs)


def recorded(daemon: Daemon) -> set[RunKey]:
    """Return which runs are recorded."""
    sql = "SELECT name, run_id FROM runs r JOIN jobs j ON j.id = job_id"
    return set(daemon.rows(sql))


def lines_about_jobs(daemon: Daemon) -> list[str]:
    """Return what is exposed of the jobs, as it stands there."""
    return [
        line
        for line in daemon.get("/metrics").text.splitlines()
        if 'job_name="' in line
    ]


def listens(port: int) -> bool:
    """Return whether a new connection is let in."""
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionRefusedError:
        return False
    return True


def ping(
    connection: HTTPConnection, job: str, status: int = 200, body: str = ""
) -> None:
    """Report on a connection that is used again."""
    connection.request("POST", f"/ping/{quote(job)}", body)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == status


@contextmanager
def writing_is_held_up(daemon: Daemon) -> Iterator[None]:
    """Somebody else writes to the database, and takes a while."""
    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


# --- Stopping


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_stop_answers_what_is_under_way(daemon: Daemon, number: Signals) -> None:
    """New connections are refused, and the one that was let in is served."""
    daemon.start()
    daemon.get("/ping/backup")

    with closing(daemon.connect()) as connection:
        with writing_is_held_up(daemon):
            connection.request("POST", "/ping/backup", '{"run_id": "the-last"}')
            # What comes later is answered already, so that one has been read.
            daemon.get("/-/healthy")
            daemon.send_signal(number)
            wait_until(lambda: "event=stopping" in daemon.log, "it stops")
            wait_until(lambda: not listens(daemon.port), "nobody new is let in")
        answer = connection.getresponse()
        body = json.load(answer)

    assert answer.status == 200
    assert body["run_id"] == "the-last"
    assert daemon.wait() == 0
    assert daemon.rows("SELECT run_id FROM runs") == [(None,), ("the-last",)]
    assert "event=stopped" in daemon.log
    assert "Traceback" not in daemon.log


def test_a_stop_lets_a_client_finish_what_it_began_to_send(daemon: Daemon) -> None:
    """It was told to go on, so it is heard to the end."""
    daemon.start()
    body = b'{"run_id": "the-last"}'
    with socket.create_connection((HOST, daemon.port), 30) as connection:
        connection.sendall(
            b"POST /ping/backup HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
        )
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        daemon.send_signal(SIGTERM)
        wait_until(lambda: not listens(daemon.port), "nobody new is let in")
        connection.sendall(body)
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert daemon.wait() == 0


def test_a_stop_does_not_wait_for_connections_that_are_idle(daemon: Daemon) -> None:
    """A client that keeps its connection keeps nobody waiting."""
    daemon.start()
    with closing(daemon.connect()) as connection:
        ping(connection, "backup")
        daemon.send_signal(SIGTERM)

        assert daemon.wait(patience=5) == 0


async def test_a_stop_under_load_loses_nothing(
    daemon: Daemon, rng: random.Random
) -> None:
    """Every ping that was answered is there, whenever the signal came."""
    daemon.configure(configuration())
    daemon.start()
    load = Load(daemon.url, rng, "load", 16)
    running = asyncio.create_task(load.run())
    await until(lambda: len(load.ledger.answered) > 200, "it is under load")

    daemon.send_signal(SIGTERM)
    code = await asyncio.to_thread(daemon.wait, 5)
    await running

    assert code == 0
    assert "Traceback" not in daemon.log
    assert not load.ledger.strange
    assert recorded(daemon) >= load.ledger.answered.keys()


def test_a_restart_changes_nothing(daemon: Daemon) -> None:
    """Counters go on, and what was wrong is still wrong."""
    daemon.configure("jobs: {backup: {every: 1h, rules: [rows > 0]}}")
    daemon.start()
    daemon.post("/ping/backup", {"metrics": {"rows": 5}})
    daemon.post("/ping/backup", {"metrics": {"rows": 0}, "run_id": "a"})
    daemon.post("/ping/other", {"status": "fail"})
    before = lines_about_jobs(daemon)

    assert daemon.stop() == 0
    daemon.start()

    violated = "afterrun_job_rule_violated"
    assert any(line.startswith(violated) and line.endswith(" 1") for line in before)
    assert lines_about_jobs(daemon) == before
    repeat = daemon.post("/ping/backup", {"metrics": {"rows": 0}, "run_id": "a"})
    assert repeat.json()["duplicate"] is True


@contextmanager
def starting_up(daemon: Daemon) -> Iterator[None]:
    """Start it, and let it wait for its configuration meanwhile."""
    os.mkfifo(daemon.config)
    daemon.launch()
    pipes: list[int] = []

    def reads() -> bool:
        with suppress(OSError):  # nobody reads it yet
            pipes.append(os.open(daemon.config, os.O_WRONLY | os.O_NONBLOCK))
        return bool(pipes)

    wait_until(reads, "it reads its configuration")
    yield
    os.write(pipes[0], b"jobs: {backup: {}}")
    os.close(pipes[0])


def test_a_hangup_while_it_starts_is_a_reload(daemon: Daemon) -> None:
    """It ends nothing, and the file is read again once everything is up."""
    with starting_up(daemon):
        daemon.send_signal(SIGHUP)
        daemon.configure("jobs: {sync: {}}")
    wait_until(lambda: "event=config_loaded" in daemon.log, "it has reloaded")

    assert daemon.series()[RUNS_TOTAL, "sync"] == 0
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_stop_while_it_starts_is_a_clean_one(daemon: Daemon, number: Signals) -> None:
    """It says goodbye as ever, and leaves a database to start with."""
    with starting_up(daemon):
        daemon.send_signal(number)

    assert daemon.wait() == 0
    assert "event=stopped" in daemon.log
    assert "Traceback" not in daemon.log
    daemon.config.unlink()
    daemon.start()


# --- A start that cannot be


def test_a_bad_configuration_is_refused_with_every_problem(daemon: Daemon) -> None:
    """All at once, one a line, and nothing else."""
    daemon.configure(BAD_CONFIG)

    ended = daemon.ended()

    assert ended.code == 1
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    for line, start in zip(lines, problems(daemon), strict=True):
        assert line.startswith(start)
    assert not daemon.database.exists()


def test_a_configuration_that_is_not_there_is_one_line(daemon: Daemon) -> None:
    """A mistyped path does not start a daemon that watches nothing."""
    missing = daemon.config.with_name("missing.yml")

    ended = daemon.ended(f"--config.file={missing}")

    assert (ended.code, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert str(missing) in line


def test_a_port_in_use_is_one_line(daemon: Daemon) -> None:
    """It says which."""
    with socket.create_server((HOST, daemon.port)):
        ended = daemon.ended()

    assert (ended.code, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"afterrun: cannot listen on {HOST}:{daemon.port}: ")
    assert "address already in use" in line.lower()


@pytest.mark.parametrize(
    "address", ["10707", "localhost", "::1:10707", ":99999", "http://x:1", "[::1]"]
)
def test_an_address_that_is_none_is_one_line(daemon: Daemon, address: str) -> None:
    """It says how one is written."""
    ended = daemon.ended(f"--web.listen-address={address}")

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: --web.listen-address {address!r} is not an address: write it "
        "like :10707, 127.0.0.1:10707 or [::1]:10707\n"
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metrics",
        "/",
        "//",
        "/ping",
        "/ping/metrics",
        "/-/metrics",
        "/{job}",
        "/a?b",
    ],
)
def test_a_path_for_metrics_that_is_none_is_one_line(daemon: Daemon, path: str) -> None:
    """It would hide something else, or never be found."""
    ended = daemon.ended(f"--web.telemetry-path={path}")

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: --web.telemetry-path {path!r} cannot be used: write it like "
        "/metrics; /, /ping and /-/ are taken\n"
    )


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (":memory:", " ':memory:' would not survive a restart; name a file"),
        ("", " is empty; name a file"),
    ],
)
def test_a_database_that_is_no_file_is_one_line(
    daemon: Daemon, path: str, problem: str
) -> None:
    """What was answered with 200 has to be there after a restart."""
    ended = daemon.ended(f"--storage.path={path}")

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == f"afterrun: --storage.path{problem}\n"


def test_an_unwritable_database_is_one_line(make_daemon: MakeDaemon) -> None:
    """It says what to do about it."""
    ended = make_daemon(READ_ONLY).ended()

    assert (ended.code, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"afterrun: cannot use database '{READ_ONLY}': ")
    assert line.endswith("choose another --storage.path or make its directory writable")


def test_another_file_as_database_is_one_line(daemon: Daemon) -> None:
    """And that file is left as it is."""
    daemon.database.write_text("a letter to my grandmother " * 100, "utf-8")

    ended = daemon.ended()

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: cannot use database '{daemon.database}': file is not a database\n"
    )
    assert daemon.database.read_text("utf-8").startswith("a letter")


def test_a_second_daemon_on_one_database_is_one_line(
    daemon: Daemon, make_daemon: MakeDaemon
) -> None:
    """And the first does not notice."""
    daemon.start()

    ended = make_daemon(daemon.database).ended()

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: database '{daemon.database}' is in use by another afterrun: "
        "stop that one, or choose another --storage.path\n"
    )
    assert daemon.get("/ping/backup").status == 200


def test_a_database_is_free_once_its_daemon_was_killed(
    daemon: Daemon, make_daemon: MakeDaemon
) -> None:
    """Its lock is gone with it: nobody has to remove a file by hand."""
    daemon.start()
    daemon.get("/ping/backup")
    daemon.kill()

    heir = make_daemon(daemon.database)
    heir.start()

    assert heir.series()["afterrun_job_runs_total", "backup"] == 1


# --- Checking


def test_checking_a_good_configuration_says_nothing(daemon: Daemon) -> None:
    """It starts nothing either: the port may be in use, as it is before a reload."""
    daemon.configure(configuration())

    with socket.create_server((HOST, daemon.port)):
        ended = daemon.ended("--config.check")

    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert not daemon.database.exists()


def test_checking_a_bad_configuration_lists_its_problems(daemon: Daemon) -> None:
    """The same lines as a start with it."""
    daemon.configure(BAD_CONFIG)

    checked, started = daemon.ended("--config.check"), daemon.ended()

    assert checked == started
    assert checked.code == 1


# --- Reloading


def by_signal(daemon: Daemon) -> None:
    """Reload the way a service manager does."""
    before = daemon.log.count("event=config_")
    daemon.send_signal(SIGHUP)
    wait_until(lambda: daemon.log.count("event=config_") > before, "it has reloaded")


def by_request(daemon: Daemon) -> None:
    """Reload the way Prometheus is reloaded."""
    daemon.post("/-/reload")


@pytest.mark.parametrize("reload", [by_signal, by_request])
def test_a_reload_takes_the_new_file(daemon: Daemon, reload: ReloadBy) -> None:
    """Jobs appear, and rules apply from the next run on."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    before = daemon.series()
    daemon.configure("jobs: {backup: {rules: [rows > 0]}, sync: {}}")

    reload(daemon)

    after = daemon.series()
    assert ("afterrun_job_runs_total", "sync") not in before
    assert after["afterrun_job_runs_total", "sync"] == 0
    assert after["afterrun_config_last_reload_successful", ""] == 1
    reloaded = "afterrun_config_last_reload_success_timestamp_seconds", ""
    assert after[reloaded] > before[reloaded]
    answer = daemon.post("/ping/backup", {"metrics": {"rows": 0}})
    assert answer.json()["outcome"] == "violated"


@pytest.mark.parametrize("reload", [by_signal, by_request])
def test_a_reload_keeps_the_old_file_when_the_new_one_is_bad(
    daemon: Daemon, reload: ReloadBy
) -> None:
    """It says so in the log and in the metrics, and goes on as before."""
    daemon.configure("jobs: {backup: {rules: [rows > 0]}}")
    daemon.start()
    daemon.configure(BAD_CONFIG)

    reload(daemon)

    series = daemon.series()
    assert series["afterrun_config_last_reload_successful", ""] == 0
    assert ("afterrun_job_runs_total", "sync") not in series
    answer = daemon.post("/ping/backup", {"metrics": {"rows": 0}})
    assert answer.json()["outcome"] == "violated"
    (line,) = [line for line in daemon.log.splitlines() if "config_refused" in line]
    assert "jobs.backup.grcae: unknown key" in line

    daemon.configure("jobs: {sync: {}}")
    reload(daemon)
    assert daemon.series()["afterrun_config_last_reload_successful", ""] == 1


def test_a_refused_reload_answers_with_every_problem(daemon: Daemon) -> None:
    """Who reloads by hand sees at once what is wrong."""
    daemon.start()
    assert daemon.post("/-/reload").status == 200
    daemon.stop()
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    daemon.configure(BAD_CONFIG)

    answer = daemon.post("/-/reload")

    assert answer.status == 500
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    for start in problems(daemon):
        assert start in answer.json()["detail"]


def test_a_reload_survives_a_file_that_is_gone(daemon: Daemon) -> None:
    """Such as between the two steps of an editor that replaces it."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    daemon.config.unlink()

    answer = daemon.post("/-/reload")
    by_signal(daemon)

    assert answer.status == 500
    assert str(daemon.config) in answer.json()["detail"]
    assert "Traceback" not in daemon.log
    assert daemon.get("/ping/backup").status == 200


def test_a_job_that_leaves_the_file_is_retired(daemon: Daemon) -> None:
    """Its series go and its alerts resolve; its history stays."""
    daemon.configure("jobs: {backup: {rules: [rows > 0]}, sync: {}}")
    daemon.start()
    daemon.post("/ping/backup", {"metrics": {"rows": 0}})
    open_alerts = "SELECT condition FROM alerts WHERE resolved_at IS NULL"
    assert daemon.rows(open_alerts) == [("violated",)]
    daemon.configure("jobs: {sync: {}}")

    assert daemon.post("/-/reload").status == 200

    assert daemon.rows(open_alerts) == []
    assert 'job_name="backup"' not in daemon.get("/metrics").text
    assert daemon.series()["afterrun_job_runs_total", "sync"] == 0
    assert count(daemon) == 1


def test_a_job_that_left_while_the_daemon_was_down_is_retired(daemon: Daemon) -> None:
    """It makes no difference whether somebody was there to see it go."""
    daemon.configure("jobs: {backup: {rules: [rows > 0]}, sync: {}}")
    daemon.start()
    daemon.post("/ping/backup", {"metrics": {"rows": 0}})
    daemon.stop()
    daemon.configure("jobs: {sync: {}}")

    daemon.start()

    assert daemon.rows("SELECT 1 FROM alerts WHERE resolved_at IS NULL") == []
    assert 'job_name="backup"' not in daemon.get("/metrics").text


async def test_a_reload_under_load_loses_no_ping(
    daemon: Daemon, rng: random.Random
) -> None:
    """Whichever file is in force, each ping is answered, and is there."""
    daemon.configure(configuration())
    daemon.start()
    load = Load(daemon.url, rng, "load", 16)
    running = asyncio.create_task(load.run())
    for number in range(20):
        more = f"  extra-{number}: {{every: 1h}}\n"
        daemon.configure(configuration() + more)
        answer = await asyncio.to_thread(daemon.post, "/-/reload")
        assert answer.status == 200
        daemon.send_signal(SIGHUP)
    load.stop()
    await running

    assert not load.ledger.strange
    assert not load.ledger.unanswered
    assert recorded(daemon) == load.ledger.answered.keys()
    exposed = daemon.series()
    assert sum(
        value for (name, _), value in exposed.items() if name == RUNS_TOTAL
    ) == len(load.ledger.answered)
    assert {job for name, job in exposed if name == RUNS_TOTAL} >= set(JOBS)


def test_a_job_that_appears_during_a_reload_is_watched(daemon: Daemon) -> None:
    """Its first ping was answered, so its series are there."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()

    with closing(daemon.connect()) as job, closing(daemon.connect()) as operator:
        with writing_is_held_up(daemon):
            job.request("POST", "/ping/new-here")
            daemon.get("/-/healthy")
            operator.request("POST", "/-/reload")
            daemon.get("/-/healthy")
        assert job.getresponse().status == 200
        assert operator.getresponse().status == 200

    assert daemon.series()[RUNS_TOTAL, "new-here"] == 1


# --- Listening and logging


def test_it_listens_on_every_address_it_is_given(daemon: Daemon) -> None:
    """Also on one of IPv6, which is written in brackets."""
    other = free_port()
    daemon.start(
        f"--web.listen-address={HOST}:{daemon.port}",
        f"--web.listen-address=[::1]:{other}",
    )

    assert request(HOST, daemon.port, "GET", "/ping/backup").status == 200
    assert request("::1", other, "GET", "/ping/backup").status == 200
    assert f"[::1]:{other}" in daemon.log


def test_without_a_host_it_listens_on_every_interface(daemon: Daemon) -> None:
    """Of both kinds."""
    daemon.start(f"--web.listen-address=:{daemon.port}")

    assert request("127.0.0.1", daemon.port, "GET", "/-/healthy").status == 200
    assert request("::1", daemon.port, "GET", "/-/healthy").status == 200


def test_the_metrics_are_where_the_operator_wants_them(daemon: Daemon) -> None:
    """And nowhere else."""
    daemon.start("--web.telemetry-path=/afterrun/metrics")
    daemon.get("/ping/backup")

    assert daemon.series("/afterrun/metrics")["afterrun_job_runs_total", "backup"] == 1
    assert daemon.get("/metrics").status == 404


def test_it_greets_with_three_lines(daemon: Daemon) -> None:
    """Where it listens, how to report, where to look."""
    daemon.start()

    lines = daemon.stdout.splitlines()

    assert len(lines) == 3
    assert all(daemon.url in line for line in lines)


def test_a_log_in_json_is_json_in_every_line(daemon: Daemon) -> None:
    """Of errors with many lines too; each says when, how grave and what."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start("--log.format=json")
    daemon.configure(BAD_CONFIG)
    daemon.post("/-/reload")
    daemon.stop()

    events = [json.loads(line) for line in daemon.log.splitlines()]

    assert all({"ts", "level", "event"} <= event.keys() for event in events)
    assert [event["event"] for event in events] == [
        "listening",
        "config_refused",
        "stopping",
        "stopped",
    ]
    assert len(events[1]["problems"].splitlines()) == 3


def test_a_log_in_logfmt_has_one_line_an_event(daemon: Daemon) -> None:
    """An error of many lines is one line too."""
    daemon.configure("jobs: {backup: {}}")
    daemon.start()
    daemon.configure(BAD_CONFIG)
    daemon.post("/-/reload")
    daemon.stop()

    lines = daemon.log.splitlines()

    assert all(line.startswith("ts=") for line in lines)
    assert [line.split("event=")[1].split()[0] for line in lines] == [
        "listening",
        "config_refused",
        "stopping",
        "stopped",
    ]


def test_a_quiet_log_keeps_quiet(daemon: Daemon) -> None:
    """What is less grave than the level is left out."""
    daemon.start("--log.level=error")
    daemon.stop()

    assert daemon.log == ""


def test_pings_leave_no_line_in_the_log(daemon: Daemon) -> None:
    """Good or bad, once or again: a busy daemon would drown everything else."""
    daemon.configure("jobs: {backup: {rules: [rows > 0]}}")
    daemon.start()
    before = daemon.log, daemon.stdout
    with closing(daemon.connect()) as connection:
        for number in range(50):
            ping(connection, "backup")
            ping(connection, "backup", body=f'{{"run_id": {number}}}')
            ping(connection, "other", body='{"status": "fail", "run_id": "x"}')
            ping(connection, "nowhere/else", 404)
            connection.request("GET", "/metrics")
            connection.getresponse().read()

    assert (daemon.log, daemon.stdout) == before


def test_refused_pings_do_not_drown_the_log(daemon: Daemon) -> None:
    """The first of a minute are told, for whoever has to mend the script."""
    daemon.start()
    with closing(daemon.connect()) as connection:
        for _ in range(200):
            ping(connection, "backup", 400, '{"rows": ,}')

    refused = [line for line in daemon.log.splitlines() if "ping_refused" in line]
    # The minute may have changed in between.
    assert 0 < len(refused) <= 2 * A_MINUTE


@pytest.mark.parametrize("key", [b"caf\xe9", b"\xff\xfe", b"\xed\xa0\x80"])
def test_a_key_that_is_no_text_is_no_trouble(daemon: Daemon, key: bytes) -> None:
    """A header can have any byte in it; the ping counts, and so does its repeat."""
    daemon.start()

    answers = []
    for method in (b"GET", b"GET", b"POST"):
        with socket.create_connection((HOST, daemon.port), 30) as connection:
            connection.sendall(
                method + b" /ping/backup HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Length: 0\r\nIdempotency-Key: " + key + b"\r\n\r\n"
            )
            answers.append(connection.recv(4096).split(b"\r\n")[0])

    assert answers == [b"HTTP/1.1 200 OK"] * 3
    assert count(daemon) == 1


def test_a_sum_of_durations_never_costs_a_ping(daemon: Daemon) -> None:
    """Each is a number; that their sum is too large for one is no fault of theirs."""
    daemon.start()
    huge = {"duration_seconds": 1.7e308}

    answers = [
        daemon.post("/ping/backup", {**huge, "run_id": str(n)}).status for n in range(3)
    ]
    batch = daemon.post("/ping", [{"job": "backup", **huge}, {"job": "sync"}])

    assert answers == [200, 200, 200]
    assert batch.status == 200
    assert batch.json()["results"][1]["outcome"] == "ok"
