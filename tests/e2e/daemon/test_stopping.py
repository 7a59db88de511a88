"""How the daemon stops: it answers what is under way, and exits 0."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import Any

import pytest

from afterrun_exporter.server.connection_limits import Limits
from tests.e2e.daemon.acts import (
    RUNS_TOTAL,
    lines_about_jobs,
    listens,
    ping,
    recorded,
    writing_is_held_up,
)
from tests.e2e.daemon.daemon import HOST, Daemon, until, wait_until
from tests.e2e.daemon.load import Load, configuration
from tests.patience import PATIENCE


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_stop_answers_what_is_under_way(daemon: Daemon, number: Signals) -> None:
    """New connections are refused, and the one that was let in is served."""
    answers: list[tuple[int, Any]] = []

    def is_stopped_in_time() -> bool:
        daemon.start()
        daemon.post("/ping/backup", {"run_id": "the-first"})
        stops = daemon.log.count("msg=stopping")
        with closing(daemon.connect()) as connection:
            with writing_is_held_up(daemon) as held_up:
                connection.request("POST", "/ping/backup", '{"run_id": "the-last"}')
                # What comes later is answered already, so that one has been read.
                daemon.get("/-/healthy")
                daemon.send_signal(number)
                wait_until(lambda: daemon.log.count("msg=stopping") > stops, "it stops")
                wait_until(lambda: not listens(daemon.port), "nobody new is let in")
            answer = connection.getresponse()
            answers.append((answer.status, json.load(answer)))
        assert daemon.wait() == 0
        return not held_up.is_too_long

    wait_until(is_stopped_in_time, "it stops before a lock is too old")

    status, body = answers[-1]
    assert status == 200
    assert body["run_id"] == "the-last"
    assert daemon.rows("SELECT run_id FROM runs") == [("the-first",), ("the-last",)]
    assert "msg=stopped" in daemon.log
    assert "Traceback" not in daemon.log


def test_a_stop_lets_a_client_finish_what_it_began_to_send(daemon: Daemon) -> None:
    """It was told to go on, so it is heard to the end."""
    body = b'{"run_id": "the-last"}'
    answers: list[bytes] = []

    def is_sent_in_time() -> bool:
        daemon.start()
        began = time.monotonic()
        with socket.create_connection((HOST, daemon.port), PATIENCE) as connection:
            connection.sendall(
                b"POST /ping/backup HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
            )
            assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
            daemon.send_signal(SIGTERM)
            wait_until(lambda: not listens(daemon.port), "nobody new is let in")
            try:
                connection.sendall(body)
                answers.append(connection.recv(4096))
            except ConnectionError:
                answers.append(b"")
        is_in_time = time.monotonic() - began < Limits().sending
        assert daemon.wait() == 0
        return bool(answers[-1]) or is_in_time

    wait_until(is_sent_in_time, "the body is sent in time")

    assert answers[-1].startswith(b"HTTP/1.1 200 ")


def test_a_stop_does_not_wait_for_connections_that_are_idle(daemon: Daemon) -> None:
    """A client that keeps its connection keeps nobody waiting."""
    daemon.start()
    with closing(daemon.connect()) as connection:
        ping(connection, "backup")
        daemon.send_signal(SIGTERM)

        assert daemon.wait() == 0


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
    code = await asyncio.to_thread(daemon.wait)
    await running

    assert code == 0
    assert "Traceback" not in daemon.log
    assert not load.ledger.strange
    assert recorded(daemon) >= load.ledger.answered.keys()


@contextmanager
def client_that_never_ends(daemon: Daemon) -> Iterator[None]:
    """It has sent a head, and never sends all of the body."""
    with socket.create_connection((HOST, daemon.port), PATIENCE) as connection:
        connection.sendall(
            b"POST /ping/backup HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{")
        yield


def test_a_stop_does_not_wait_for_a_client_that_never_ends(daemon: Daemon) -> None:
    """Seen: 20.9 s, and docker kills after 10."""
    daemon.start("--web.shutdown-timeout=8s")
    daemon.get("/ping/backup")
    with client_that_never_ends(daemon):
        daemon.send_signal(SIGTERM)
        code = daemon.wait()

    # On a busy machine, closing the database may take longer than its share of 8 s.
    ended = {0: "msg=stopped", 1: "msg=stop_forced after_seconds=8.0"}
    assert ended[code] in daemon.log
    assert "Traceback" not in daemon.log


def test_a_stop_takes_as_long_as_it_is_told(daemon: Daemon) -> None:
    """A client that is slower than that has not been answered."""
    daemon.start("--web.shutdown-timeout=3s")
    with client_that_never_ends(daemon):
        began = time.monotonic()
        daemon.send_signal(SIGTERM)
        daemon.wait()

        assert time.monotonic() - began > 1


def test_a_second_signal_ends_a_stop_at_once(daemon: Daemon) -> None:
    """Whoever presses Ctrl-C twice does not want to wait."""

    def is_signalled_in_time() -> bool:
        daemon.start()
        stops = daemon.log.count("msg=stopping")
        began = time.monotonic()
        with client_that_never_ends(daemon):
            daemon.send_signal(SIGINT)
            wait_until(lambda: daemon.log.count("msg=stopping") > stops, "it stops")
            daemon.send_signal(SIGINT)
            # Until then it waits for the client.
            is_in_time = time.monotonic() - began < Limits().sending
            daemon.wait()
        return is_in_time

    wait_until(is_signalled_in_time, "the second signal comes in time")

    assert "msg=stopping_at_once" in daemon.log


def test_a_stop_ends_although_a_thread_hangs(daemon: Daemon) -> None:
    """Such as on a dead file server; everything acknowledged is on disk."""
    base = daemon.config.with_name("base.yml")
    daemon.configure(
        "alertmanager: {config_file: alertmanager.yml, base: base.yml}\n"
        "jobs: {backup: {}}"
    )
    base.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]", "utf-8")
    daemon.start("--web.shutdown-timeout=2s")
    base.unlink()
    os.mkfifo(base)
    daemon.send_signal(SIGHUP)
    wait_until(lambda: "msg=config_loaded" in daemon.log, "it has reloaded")
    assert daemon.get("/ping/backup").status == 200

    daemon.send_signal(SIGTERM)

    assert daemon.wait() == 1
    assert "msg=stop_forced" in daemon.log
    assert daemon.rows("SELECT count(*) FROM runs") == [(1,)]


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
    wait_until(lambda: "msg=config_loaded" in daemon.log, "it has reloaded")

    assert daemon.series()[RUNS_TOTAL, "sync"] == 0
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_stop_while_it_starts_is_a_clean_one(daemon: Daemon, number: Signals) -> None:
    """It says goodbye as ever, and leaves a database to start with."""
    with starting_up(daemon):
        daemon.send_signal(number)

    assert daemon.wait() == 0
    assert "msg=stopped" in daemon.log
    assert "Traceback" not in daemon.log
    daemon.config.unlink()
    daemon.start()
