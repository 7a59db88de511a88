"""The balancer repeats at another replica what one has not recorded, and only that."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest

from tests.e2e.daemon.daemon import HOST, wait_until
from tests.e2e.network import free_port
from tests.e2e.replicas.balancer import HAProxy
from tests.patience import PATIENCE

#: Longer than the memory for a request that can be repeated.
LONG: Final = 200_000

Answer = tuple[int, str]


class FakeReplica:
    """Answers what a test wants, and remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        #: The status of the next answers; 0 to close the connection without one.
        self.status = 200
        #: Method, path, sender and length of each request, without checks of health.
        self.requests: list[tuple[str, str, str, int]] = []
        self.checks = 0
        replica = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                self.rfile.read(size)
                status = 200
                if self.path == "/-/ready":
                    replica.checks += 1
                else:
                    sender = self.headers.get("X-Forwarded-For", "")
                    replica.requests.append((self.command, self.path, sender, size))
                    status = replica.status
                self.close_connection = True
                if status:
                    self.send_response(status)
                    self.send_header("X-Replica", replica.name)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._handler = Handler
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen."""
        self._server = ThreadingHTTPServer((HOST, self.port), self._handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[FakeReplica]]:
    replicas = [FakeReplica("afterrun-1"), FakeReplica("afterrun-2")]
    for replica in replicas:
        replica.start()
    yield replicas
    for replica in replicas:
        replica.stop()


@pytest.fixture(scope="module")
def balancer(
    tmp_path_factory: pytest.TempPathFactory, replicas: list[FakeReplica]
) -> Iterator[HAProxy]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("balancer")
        balancer = HAProxy(folder, replicas, waits_for_replicas=True)
        balancer.start()
        stack.callback(balancer.stop)
        yield balancer


@pytest.fixture(autouse=True)
def fresh(balancer: HAProxy, replicas: list[FakeReplica]) -> None:
    """Both replicas are known to be well."""
    assert balancer.port
    checks = [replica.checks for replica in replicas]
    for replica in replicas:
        replica.status = 200
        replica.requests.clear()
    wait_until(
        lambda: all(r.checks > n + 1 for r, n in zip(replicas, checks, strict=True)),
        "the health of both was checked",
    )


def ask(balancer: HAProxy, method: str, path: str, body: str = "") -> Answer:
    """Return the status, and the replica that answered."""
    connection = http.client.HTTPConnection(HOST, balancer.port, timeout=PATIENCE)
    connection.request(method, path, body or None)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("X-Replica", "")


def counts(replicas: list[FakeReplica]) -> list[int]:
    return [len(replica.requests) for replica in replicas]


def test_requests_go_to_both_and_name_their_sender(
    balancer: HAProxy, replicas: list[FakeReplica]
) -> None:
    answers = {ask(balancer, "POST", "/ping/job", "rows=1") for _ in range(4)}

    assert answers == {(200, "afterrun-1"), (200, "afterrun-2")}
    assert counts(replicas) == [2, 2]
    assert replicas[0].requests[0] == ("POST", "/ping/job", HOST, 6)


@pytest.mark.parametrize("status", [503, 0])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ping/job"),
        ("POST", "/ping"),
        ("GET", "/ping/job?status=start"),
        ("PUT", "/metrics/job/x"),
        ("GET", "/api/v1/jobs"),
    ],
)
def test_a_report_that_a_replica_refuses_or_does_not_answer_goes_to_the_other(
    balancer: HAProxy,
    replicas: list[FakeReplica],
    status: int,
    method: str,
    path: str,
) -> None:
    """One that was recorded after all is recognised as a duplicate."""
    replicas[0].status = status
    body = "" if method == "GET" else "rows=1"

    answers = {ask(balancer, method, path, body) for _ in range(4)}

    first, second = counts(replicas)
    assert answers == {(200, "afterrun-2")}
    assert first > 0
    assert second == 4


@pytest.mark.parametrize(("status", "answer"), [(503, 503), (0, 502)])
@pytest.mark.parametrize("path", ["/api/v1/jobs/x/receivers", "/jobs/x/pause"])
def test_another_change_is_not_repeated(
    balancer: HAProxy, replicas: list[FakeReplica], path: str, status: int, answer: int
) -> None:
    """It would be made twice."""
    replicas[0].status = status

    answers = [ask(balancer, "POST", path, "{}")[0] for _ in range(4)]

    assert sorted(answers) == sorted([200, 200, answer, answer])
    assert counts(replicas) == [2, 2]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_other_answers_are_passed_on(
    balancer: HAProxy, replicas: list[FakeReplica], status: int
) -> None:
    for replica in replicas:
        replica.status = status

    assert ask(balancer, "POST", "/ping/job", "rows=1")[0] == status
    assert sum(counts(replicas)) == 1


def test_an_outage_of_both_is_answered_503(
    balancer: HAProxy, replicas: list[FakeReplica]
) -> None:
    for replica in replicas:
        replica.status = 503

    assert ask(balancer, "POST", "/ping/job", "rows=1")[0] == 503
    assert sum(counts(replicas)) == 3


def test_a_report_that_is_too_long_to_be_repeated_is_not(
    balancer: HAProxy, replicas: list[FakeReplica]
) -> None:
    replicas[0].status = 503

    answers = [ask(balancer, "POST", "/ping/job", "x" * LONG)[0] for _ in range(4)]

    assert sorted(answers) == [200, 200, 503, 503]
    assert {length for *_, length in replicas[1].requests} == {LONG}


def test_a_replica_that_has_ended_gets_nothing(
    balancer: HAProxy, replicas: list[FakeReplica]
) -> None:
    """Also before the next check of its health."""
    replicas[0].stop()
    try:
        answers = {ask(balancer, "POST", "/api/v1/check", "{}") for _ in range(4)}
    finally:
        replicas[0].start()

    assert answers == {(200, "afterrun-2")}
