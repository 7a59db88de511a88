"""What one replica is told, the other one knows: each dialect, the API and the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.e2e.daemon.daemon import Answer, wait_until
from tests.e2e.replicas.asking import HTML, UNAVAILABLE, ask, ask_once, send_form
from tests.e2e.replicas.http_proxy import RoundRobin
from tests.e2e.replicas.replica import Replicas
from tests.postgres import Server

UUID: Final = "0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11"

#: A report without a run id may be sent again much later.
CONFIG: Final = """\
dedup_window: 1h
policies:
  - {match: {name: "^etl"}, export_as: original}
jobs:
  configured: {every: 1h}
"""

Request = tuple[str, str, Any]


class Dialect(NamedTuple):
    """The two requests by which a client reports one run of a job."""

    start: Request
    finish: Request


#: By the name of the job.
DIALECTS: Final = {
    "native": Dialect(
        ("POST", "/ping/native", {"status": "start", "run_id": "1"}),
        ("POST", "/ping/native", {"status": "ok", "run_id": "1"}),
    ),
    "batch": Dialect(
        ("POST", "/ping", [{"job": "batch", "status": "start", "run_id": "1"}]),
        ("POST", "/ping", [{"job": "batch", "status": "ok", "run_id": "1"}]),
    ),
    "checks": Dialect(
        ("GET", "/ping/key/checks/start", None), ("GET", "/ping/key/checks", None)
    ),
    "checks-with-rid": Dialect(
        ("GET", f"/ping/key/checks-with-rid/start?rid={UUID}", None),
        ("GET", f"/ping/key/checks-with-rid?rid={UUID}", None),
    ),
    "cronitor": Dialect(
        ("GET", "/p/key/cronitor?state=run&series=1", None),
        ("GET", "/p/key/cronitor?state=complete&series=1", None),
    ),
    "sentry": Dialect(
        (
            "POST",
            f"/api/42/cron/sentry/public/?status=in_progress&check_in_id={UUID}",
            "",
        ),
        ("POST", f"/api/42/cron/sentry/public/?status=ok&check_in_id={UUID}", ""),
    ),
    "sentry-without-id": Dialect(
        ("POST", "/api/42/cron/sentry-without-id/public/?status=in_progress", ""),
        ("POST", "/api/42/cron/sentry-without-id/public/?status=ok", ""),
    ),
    "kuma": Dialect(
        ("GET", "/api/push/kuma?status=up&msg=start", None),
        ("GET", "/api/push/kuma?status=up&msg=OK", None),
    ),
    "events": Dialect(
        (
            "POST",
            "/events",
            {"type": "job.started", "jobId": "events", "executionId": "1"},
        ),
        (
            "POST",
            "/events",
            {"type": "job.completed", "jobId": "events", "executionId": "1"},
        ),
    ),
    "task": Dialect(
        ("POST", "/task", {"id": "task-1", "name": "task", "status": "Running"}),
        ("PATCH", "/task/task-1", {"status": "Success"}),
    ),
}

#: Reports of a whole run, of which a client sends another one later.
WHOLE_RUNS: Final[dict[str, Callable[[int], Request]]] = {
    "snitch": lambda n: ("POST", "/snitch/snitch", f"m={n}"),
    "better-stack": lambda n: ("POST", "/api/v1/heartbeat/better-stack", f"{n}"),
    "pushed": lambda n: ("PUT", "/metrics/job/pushed", f"rows {n}\n"),
    "rows": lambda n: (
        "POST",
        "/runs",
        {"job_id": "rows", "status": "success", "run_id": f"{n}"},
    ),
}


class Pair:
    """Two replicas, and a load balancer that sends each request to the other one."""

    def __init__(self, replicas: Replicas, balancer: RoundRobin) -> None:
        self.replicas = replicas
        self.balancer = balancer

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of both replicas."""
        first, second = self.replicas
        return first.port, second.port

    def runs(self, port: int, job: str) -> list[dict[str, Any]]:
        """Return the finished runs of a job, the newest first."""
        answer = ask(port, "GET", f"/api/v1/jobs/{job}/runs")
        runs: list[dict[str, Any]] = answer.json().get("runs", [])
        return runs

    def until(self, port: int, path: str, holds: Callable[[Answer], bool]) -> Answer:
        """Return the answer of a replica, once it is as expected."""
        answers: list[Answer] = []

        def is_so() -> bool:
            answers[:] = [ask(port, "GET", path)]
            return holds(answers[0])

        try:
            wait_until(is_so, f"{path} is as expected", every=0.1)
        except AssertionError:
            raise AssertionError(f"{path}: {answers}") from None
        return answers[0]


@pytest.fixture(scope="module")
def pair(
    postgres_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Both of them ready."""
    folder: Path = tmp_path_factory.mktemp("pair")
    replicas = Replicas(folder, postgres_server.new_database().url, 2)
    replicas.configure(CONFIG)
    try:
        replicas.start()
        with RoundRobin([replica.port for replica in replicas]) as balancer:
            yield Pair(replicas, balancer)
    finally:
        replicas.kill()


def ratios(lines: list[str]) -> list[str]:
    """Return the success ratio of the job `ratio`, as it is exposed."""
    start = 'afterrun_job_success_ratio{job_name="ratio"'
    return [line.split()[-1] for line in lines if line.startswith(start)]


def removes(port: int, path: str) -> bool:
    """Return True if a DELETE has removed something, at the latest when it is repeated."""
    answer = ask_once(port, "DELETE", path)
    if answer.status != UNAVAILABLE:
        return answer.status in {200, 202, 204}
    return ask(port, "DELETE", path).status in {200, 202, 204, 404}


def is_accepted(answer: Answer) -> bool:
    """Return True for the answers to reports that were recorded."""
    return answer.status in {200, 201, 202}


@pytest.mark.parametrize("job", DIALECTS)
def test_a_run_starts_at_one_replica_and_ends_at_the_other(
    pair: Pair, job: str
) -> None:
    """At once, when the other one has not heard of the start yet."""
    here, there = pair.ports
    started = ask(here, *DIALECTS[job].start)
    assert is_accepted(started), started
    ended = ask(there, *DIALECTS[job].finish)
    assert is_accepted(ended), ended

    pair.replicas.wait_until_agree()
    for port in pair.ports:
        (run,) = pair.runs(port, job)
        assert run["outcome"] == "ok"
        assert run["duration"] is not None
        assert ask(port, "GET", f"/api/v1/jobs/{job}").json()["running"] == 0


@pytest.mark.parametrize("job", WHOLE_RUNS)
def test_runs_are_reported_to_either_replica(pair: Pair, job: str) -> None:
    for number in range(4):
        answer = ask(pair.balancer.port, *WHOLE_RUNS[job](number))
        assert is_accepted(answer), answer

    pair.replicas.wait_until_agree()
    for port in pair.ports:
        assert [run["outcome"] for run in pair.runs(port, job)] == ["ok"] * 4


def test_the_balancer_alternates(pair: Pair) -> None:
    before = dict(pair.balancer.answered)
    for _ in range(6):
        assert ask(pair.balancer.port, "GET", "/-/healthy").status == 200

    assert pair.balancer.answered == {port: before[port] + 3 for port in pair.ports}


def test_a_job_that_registers_at_one_replica_is_known_at_the_other(pair: Pair) -> None:
    here, there = pair.ports
    assert ask(here, "POST", "/ping/newcomer", {}).status == 200

    found = pair.until(there, "/api/v1/jobs/newcomer", lambda a: a.status == 200)
    assert found.json()["state"] == "ok"
    assert "newcomer" in ask(there, "GET", "/jobs/newcomer", headers=HTML).text


def test_a_job_is_paused_at_one_replica_and_resumed_at_the_other(pair: Pair) -> None:
    here, there = pair.ports
    path = "/api/v1/jobs/configured"
    assert ask(here, "POST", f"{path}/pause", {"for": "2h"}).status == 200
    paused = pair.until(there, path, lambda a: a.json()["state"] == "paused")
    assert paused.json()["paused_until"]

    assert ask(there, "POST", f"{path}/resume").status == 200
    pair.until(here, path, lambda a: a.json()["state"] != "paused")
    pair.replicas.wait_until_agree()


def test_a_job_is_removed_at_the_other_replica(pair: Pair) -> None:
    here, there = pair.ports
    path = "/api/v1/jobs/passing-by"
    assert ask(here, "POST", "/ping/passing-by", {}).status == 200
    pair.until(there, path, lambda a: a.status == 200)
    assert removes(there, path)
    pair.until(here, path, lambda a: a.status == 404)

    # Its name may be used again, at the one that has just learned of its end.
    assert ask(here, "POST", "/ping/passing-by", {}).status == 200
    pair.until(there, path, lambda a: a.status == 200)
    pair.replicas.wait_until_agree()


def test_a_check_is_created_at_one_replica_and_pinged_at_the_other(pair: Pair) -> None:
    here, there = pair.ports
    told = {"name": "Nightly Backup", "timeout": 3600, "grace": 60}
    created = ask(here, "POST", "/api/v3/checks/", told)
    assert created.status == 201, created
    uuid = created.json()["ping_url"].rpartition("/")[2]

    pair.until(there, f"/api/v3/checks/{uuid}", lambda a: a.status == 200)
    assert ask(there, "GET", f"/ping/{uuid}").status == 200
    same = ask(there, "POST", "/api/v3/checks/", {**told, "unique": ["name"]})
    assert same.status == 200, same
    pair.until(
        here, f"/api/v3/checks/{uuid}", lambda a: bool(a.json().get("last_ping"))
    )
    assert removes(there, f"/api/v3/checks/{uuid}")
    pair.until(here, f"/api/v3/checks/{uuid}", lambda a: a.status == 404)


def test_a_monitor_of_cronitor_is_described_at_one_replica(pair: Pair) -> None:
    here, there = pair.ports
    told = {"monitors": [{"type": "job", "key": "described", "schedule": "0 5 * * *"}]}
    assert ask(here, "PUT", "/api/monitors", told).status == 200

    pair.until(there, "/api/monitors/described", lambda a: a.status == 200)
    job = ask(there, "GET", "/api/v1/jobs/described").json()
    assert job["schedule"] == "0 5 * * *"
    pair.replicas.wait_until_agree()


def test_receivers_are_known_to_both(pair: Pair) -> None:
    here, there = pair.ports
    path = "/api/v1/jobs/configured/receivers"
    told = {"alert_type": "email", "target": "oncall@example.com", "on_missed": True}
    added = ask_once(here, "POST", path, told)
    if added.status == UNAVAILABLE:
        # It may have been added.
        assert ask(here, "POST", path, told).status in {201, 409}
    else:
        assert added.status == 201, added

    found = pair.until(there, path, lambda a: len(a.json()["receivers"]) == 1)
    number = found.json()["receivers"][0]["id"]
    assert ask(there, "POST", path, told).status == 409
    assert removes(there, f"/api/v1/receivers/{number}")
    pair.until(here, path, lambda a: a.json()["receivers"] == [])


def test_pushed_metrics_are_exposed_by_both(pair: Pair) -> None:
    here, there = pair.ports
    assert ask(here, "PUT", "/metrics/job/etl", "rows_done 7\n").status == 200
    assert ask(there, "POST", "/metrics/job/etl", "bytes_done 9\n").status == 200
    for port in pair.ports:
        pair.until(
            port,
            "/metrics/pushed",
            lambda a: "rows_done" in a.text and "bytes_done" in a.text,
        )

    assert removes(there, "/metrics/job/etl")
    pair.until(here, "/metrics/pushed", lambda a: "rows_done" not in a.text)


def test_a_form_of_one_replica_is_accepted_by_the_other(pair: Pair) -> None:
    here, there = pair.ports
    page = ask(here, "GET", "/jobs/configured", headers=HTML).text
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found is not None

    sent = send_form(there, "/jobs/configured/pause", token=found[1], **{"for": "1d"})
    assert sent.status in {200, 303}, sent
    pair.until(here, "/api/v1/jobs/configured", lambda a: a.json()["state"] == "paused")
    assert ask(here, "POST", "/api/v1/jobs/configured/resume").status == 200


def test_a_window_counts_the_runs_of_both(pair: Pair) -> None:
    """The history behind a success ratio is in the memory of each replica."""
    here, there = pair.ports
    told = {
        "success_ratio": {"below": "80%", "over": "1h", "min_runs": 4},
    }
    pair.replicas.configure(f"{CONFIG}  ratio: {{alerts: {json.dumps(told)}}}\n")
    for port in pair.ports:
        assert ask(port, "POST", "/-/reload").status == 200
    for number in range(8):
        status = "fail" if number % 2 else "ok"
        port = here if number % 4 < 2 else there
        body = {"status": status, "run_id": f"{number}"}
        assert ask(port, "POST", "/ping/ratio", body).status == 200

    assert ratios(pair.replicas.wait_until_agree()) == ["0.5"]
    for port in pair.ports:
        state = ask(port, "GET", "/api/v1/jobs/ratio").json()
        kinds = {alert["kind"] for alert in state["alerts"]}
        assert "success_ratio_low" in kinds
