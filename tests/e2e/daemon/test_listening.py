"""Where the daemon listens, and what it writes to its log."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import closing
from itertools import product

from afterrun_exporter.auth.refusal_log import A_MINUTE
from tests.e2e.daemon.acts import (
    BAD_CONFIG,
    count,
    log_lines,
    ping,
)
from tests.e2e.daemon.daemon import HOST, Daemon, request, wait_until
from tests.e2e.network import free_port
from tests.patience import PATIENCE


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


def test_the_health_check_of_the_image_follows_the_port(daemon: Daemon) -> None:
    daemon.start(f"--web.listen-address=:{daemon.port}")
    module = "afterrun_exporter.client.healthcheck"

    command = [sys.executable, "-m", module, str(daemon.pid)]
    # It waits for 2 seconds for an answer: a busy machine may take longer.
    wait_until(
        lambda: not subprocess.run(command, check=False).returncode, "it is healthy"
    )


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

    events = [json.loads(line) for line in log_lines(daemon)]

    assert all({"time", "level", "source", "msg"} <= event.keys() for event in events)
    assert [event["msg"] for event in events] == [
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

    lines = log_lines(daemon)

    assert all(line.startswith("time=") for line in lines)
    assert [line.split("msg=")[1].split()[0] for line in lines] == [
        "listening",
        "config_refused",
        "stopping",
        "stopped",
    ]


def test_a_quiet_log_keeps_quiet(daemon: Daemon) -> None:
    """What is less grave than the level is left out."""
    daemon.start("--log.level=error")
    daemon.stop()

    assert log_lines(daemon) == []


def test_pings_leave_no_line_in_the_log(daemon: Daemon) -> None:
    """Good or bad, once or again: a busy daemon would drown everything else."""
    daemon.configure("jobs: {backup: {rules: [rows > 0]}}")
    daemon.start()
    before = log_lines(daemon), daemon.stdout
    with closing(daemon.connect()) as connection:
        for number in range(50):
            ping(connection, "backup")
            ping(connection, "backup", body=f'{{"run_id": {number}}}')
            ping(connection, "other", body='{"status": "fail", "run_id": "x"}')
            ping(connection, "nowhere/else/than/here", 404)
            connection.request("GET", "/metrics")
            connection.getresponse().read()

    assert (log_lines(daemon), daemon.stdout) == before


def test_refused_pings_do_not_drown_the_log(daemon: Daemon) -> None:
    """The first of a minute are told, for whoever has to mend the script."""
    daemon.start()
    began = time.time()
    with closing(daemon.connect()) as connection:
        for _ in range(200):
            ping(connection, "backup", 400, '{"rows": ,}')
    # The minute may have changed in between, on a busy machine more than once.
    minutes = time.time() // 60 - began // 60 + 1

    lines = daemon.log.splitlines()
    # What tells of lines left out names the event too, as what=ping_refused.
    refused = [line for line in lines if " msg=ping_refused " in line]
    assert 0 < len(refused) <= minutes * A_MINUTE


def test_a_key_that_is_no_text_is_no_trouble(daemon: Daemon) -> None:
    """A header can have any byte in it; the ping counts, and so does its repeat."""
    daemon.start()

    answers = []
    keys = (b"caf\xe9", b"\xff\xfe", b"\xed\xa0\x80")
    for key, method in product(keys, (b"GET", b"GET", b"POST")):
        with socket.create_connection((HOST, daemon.port), PATIENCE) as connection:
            connection.sendall(
                method + b" /ping/backup HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Length: 0\r\nIdempotency-Key: " + key + b"\r\n\r\n"
            )
            answers.append(connection.recv(4096).split(b"\r\n")[0])

    assert answers == [b"HTTP/1.1 200 OK"] * 9
    assert count(daemon) == 3


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
