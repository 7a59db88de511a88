"""Every endpoint with every scope: who gets in, and that nobody else does."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from typing import Final

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient
from structlog.testing import capture_logs
from yarl import URL

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, locked, token, whole_app
from tests.server.everywhere import UUID, body_of, listed, path_of, routes_of

#: Who asks: the name of their token, and what it may do.
CALLERS: Final = {
    "pinger": token(Scope.PING, jobs=f"backup|{UUID}"),
    "other": token(Scope.PING, jobs="other"),
    "scraper": token(Scope.SCRAPE),
    "reader": token(Scope.READ),
    "manager": token(Scope.MANAGE),
    "admin": token(Scope.ADMIN),
}
NOBODIES: Final[Mapping[str, str | None]] = {
    "nobody": None,
    "wrong": "Bearer wrong",
    "wrong user": f"Basic {b64encode(b'admin:wrong').decode()}",
    "nonsense": "Basic nonsense",
    "empty": "Bearer ",
}


@pytest.fixture
def app(service: Service, store: MemoryStore, clock: ManualClock) -> web.Application:
    return whole_app(service, store, clock, locked(**CALLERS))


@pytest.fixture
async def locked_client(app: web.Application, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(app)


async def status_of(
    client: Client, method: str, path: str, authorization: str | None, body: str = ""
) -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    url = client.make_url("/").join(URL(path, encoded=True))
    response = await client.session.request(
        method, url, headers=headers, data=body or None, allow_redirects=False
    )
    await response.read()
    if response.status == 401:
        assert response.headers.getall("WWW-Authenticate") == [
            'Basic realm="AfterRun", charset="UTF-8"',
            'Bearer realm="AfterRun"',
        ]
    return response.status


def test_each_route_of_the_application_is_in_the_table_once(
    app: web.Application,
) -> None:
    """Another one would want everything: safe to forget, but no way to live."""
    rows = Counter(key for one in endpoints.ENDPOINTS for key, _ in one.rows())
    routes = {
        (route.method, listed(route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None
    }

    # The router has HEAD beside GET, and no OPTIONS where a route has any method.
    heads = {("HEAD", route) for method, route in rows if method == "GET"}
    asked = {("OPTIONS", route) for method, route in rows if method == endpoints.ANY}
    assert rows.keys() - asked <= routes <= rows.keys() | heads
    assert [key for key, count in rows.items() if count > 1] == []
    assert all(endpoints.is_listed(*key) for key in routes)


def test_what_changes_something_is_not_for_readers() -> None:
    asked = {
        route
        for (method, route), scope in endpoints.TABLE.items()
        if method not in {"GET", "OPTIONS"} and scope in {Scope.READ, Scope.SCRAPE}
    }

    # It is sent rules, and tries them.
    assert asked == {"/api/v1/jobs/{job}/backtest"}


#: Probes, and how the pages look: also the one that says that nobody gets in.
EVERYBODYS: Final = ("/-/healthy", "/-/ready", "/static/{name}")


def test_questions_of_browsers_alone_are_open_besides() -> None:
    found = {key for key, scope in endpoints.TABLE.items() if scope is endpoints.OPEN}

    told = {key for key in found if key[0] != "OPTIONS"}
    assert told == {("GET", route) for route in EVERYBODYS}


@pytest.mark.parametrize("who", [*CALLERS, *NOBODIES])
async def test_every_endpoint_lets_in_whom_it_is_for(
    app: web.Application, locked_client: Client, store: MemoryStore, who: str
) -> None:
    """And nobody else, who leaves no trace."""
    authorization = NOBODIES.get(who, f"Bearer {who}")
    wrong = []
    asked = 0

    for method, route in routes_of(app):
        wanted = endpoints.required_scope(method, listed(route))
        status = await status_of(
            locked_client, method, path_of(route), authorization, body_of(route)
        )
        asked += 1
        if wanted is endpoints.OPEN:
            good = status in {200, 204}
        elif who in NOBODIES:
            good = status == 401
        elif route == "/-/quit":
            # Off without --web.enable-lifecycle.
            good = status == 403
        elif who == "admin" or (who == "pinger" and wanted is Scope.PING):
            good = status not in {401, 403}
        elif who == "other" and wanted is Scope.PING:
            # Refused for its job, where there is one: not where it is unknown.
            good = status == 403 or "{task}" in route or (method, route) in JOBLESS
        else:
            holds = HOLDS.get(who)
            good = status not in {401, 403} if holds is wanted else status == 403
        if not good:
            wrong.append((method, route, status))

    assert wrong == []
    assert asked > 100
    if who not in {"pinger", "admin"}:
        assert not await store.runs("backup", 9)
        assert not await store.runs(UUID, 9)
        assert store.states["backup"].last_ping_at == 0.0
        assert UUID not in store.states


async def test_no_answer_of_what_is_locked_is_kept_by_a_cache(
    app: web.Application, locked_client: Client
) -> None:
    """Unless it is asked for anew each time."""
    kept = set()
    for method, route in routes_of(app):
        if endpoints.required_scope(method, listed(route)) in {
            endpoints.OPEN,
            Scope.PING,
        }:
            continue
        url = locked_client.make_url("/").join(URL(path_of(route), encoded=True))
        response = await locked_client.session.request(
            method,
            url,
            headers={"Authorization": "Bearer admin"},
            data=body_of(route) or None,
            allow_redirects=False,
        )
        await response.read()
        said = response.headers.get("Cache-Control", "")
        if said not in {"no-store", "no-cache"}:
            kept.add((method, route, said))

    assert kept == set()


HOLDS: Final = {
    "scraper": Scope.SCRAPE,
    "reader": Scope.READ,
    "manager": Scope.MANAGE,
}


#: Where nothing is recorded either, and the answer is not about one job.
def is_ignored(route: str) -> bool:
    """Return True for what Sentry's clients send besides check-ins."""
    ours = ("/api/{project}/cron/", "/api/{project}/envelope")
    return route.startswith(("/api/{project}/", "/api/store")) and not (
        route.startswith(ours)
    )


JOBLESS: Final = {
    ("DELETE", "/metrics/{job}"),
    ("PUT", "/task"),
    # Each report has an answer of its own.
    ("POST", "/ping"),
    # Says that we are there.
    ("GET", "/api/v1/status"),
    # Ignored whatever it is about.
    *(("POST", route) for _, route in endpoints.TABLE if is_ignored(route)),
    ("HEAD", "/api/v1/status"),
}


def spellings(path: str) -> set[str]:
    """Return ways to write *path* that somebody might take for it."""
    return {
        path,
        f"{path}/",
        f"{path}//",
        f"/{path}",
        f"/.{path}",
        f"{path}%2F",
        f"{path}/%2e%2e/-/healthy",
        f"{path}/../-/healthy",
        f"/-/healthy/..{path}",
        f"/-/healthy/%2e%2e{path}",
        f"/-/healthy%2F..{path}",
        f"{path};/-/healthy",
        f"{path}?/-/healthy",
        f"{path}%00",
        path[:1] + path[1:].replace("/", "%2f"),
        path.upper(),
        f"http://elsewhere{path}",
    }


@pytest.mark.thorough
@pytest.mark.parametrize("header", ["", "Authorization: Bearer wrong\r\n"])
async def test_no_spelling_of_a_path_is_a_way_around(
    app: web.Application, locked_client: Client, header: str
) -> None:
    """Slashes too many, encoded or in other places: nothing is read that is locked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", locked_client.port)
    passed = []
    paths = {path_of(route) for _, route in routes_of(app)}
    everybodys = {path_of(route) for route in EVERYBODYS}
    known = [await (await locked_client.get(path)).read() for path in everybodys]

    for path in set().union(*map(spellings, paths)):
        for method in ("GET", "HEAD", "POST", "DELETE"):
            line = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{header}"
            writer.write(f"{line}Content-Length: 0\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"Content-Length: (\d+)", head)
            assert length is not None
            body = b""
            if method != "HEAD":
                body = await reader.readexactly(int(length[1]))
            # There are no other files than those that everybody may have.
            none = " 404 " in head and "/static/" in path
            if " 401 " not in head and body not in known and not none:
                passed.append((method, path, head.split("\r\n")[0]))
    writer.close()

    # What is open is so for HEAD too, whose answers tell nothing.
    assert {method for method, _, _ in passed} == {"HEAD"}
    assert {
        path.removeprefix("http://elsewhere").partition("?")[0] for _, path, _ in passed
    } == everybodys


@pytest.mark.parametrize("method", ["PROPFIND", "TRACE", "OPTIONS", "get"])
async def test_no_method_is_a_way_around(locked_client: Client, method: str) -> None:
    for path in ("/", "/metrics", "/-/reload", "/api/v1/jobs", "/nowhere"):
        assert await status_of(locked_client, method, path, None) in {400, 401}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/metrics", 405), ("OPTIONS", "/", 405)],
)
async def test_who_is_known_is_told_what_there_is_not(
    locked_client: Client, method: str, path: str, status: int
) -> None:
    """A wrong address is no matter of endpoints."""
    for who in CALLERS:
        assert await status_of(locked_client, method, path, f"Bearer {who}") == status


async def test_a_forbidden_job_in_a_batch_does_not_harm_the_others(
    locked_client: Client, store: MemoryStore
) -> None:
    """Not even as a report that cannot be read."""
    items = [
        '{"job": "backup", "run_id": "1"}',
        '{"job": "other", "run_id": "2"}',
        '{"job": "other", "status": "odd"}',
        '{"job": "backup", "run_id": "3"}',
        '{"job": "backup", "status": "odd"}',
    ]

    response = await locked_client.post(
        "/ping", data="\n".join(items), headers={"Authorization": "Bearer pinger"}
    )

    answer = await response.json()
    told = [one["outcome"] or one["status"] for one in answer["results"]]
    assert response.status == 200
    assert told == ["violated", 403, 403, "violated", "invalid"]
    assert (answer["accepted"], answer["rejected"]) == (3, 2)
    assert [one.run_id for one in await store.runs("backup", 9)] == [None, "3", "1"]
    assert "other" not in store.states


async def test_a_forbidden_job_that_is_known_is_left_alone(
    locked_client: Client, store: MemoryStore
) -> None:
    """What is refused is not even an invalid run."""
    for body in ('{"status": "ok"}', "{", '{"status": "odd"}', b"\x1f\x8b"):
        response = await locked_client.post(
            "/ping/backup", data=body, headers={"Authorization": "Bearer other"}
        )
        assert response.status == 403
        assert response.content_type == "application/problem+json"
        problem = await response.json()
        assert problem["detail"] == 'token "ping" cannot report runs of job "backup"'
        assert problem["recorded"] is False

    assert not await store.runs("backup", 9)
    assert store.states["backup"].last_ping_at == 0.0


async def test_a_task_that_may_not_be_pinged_is_not_remembered(
    locked_client: Client, store: MemoryStore
) -> None:
    """Or its updates would go to another job than its own."""
    for name in ("backup", "elsewhere"):
        task = {"id": "t", "name": name, "status": "Running"}
        await locked_client.post(
            "/task", json=task, headers={"Authorization": "Bearer pinger"}
        )

    changed = await locked_client.patch(
        "/task/t",
        json={"status": "Success"},
        headers={"Authorization": "Bearer pinger"},
    )

    assert changed.status == 200
    assert [run.outcome for run in await store.runs("backup", 9)] == ["violated"]


async def test_a_task_is_changed_by_those_alone_who_may_ping_its_job(
    locked_client: Client, store: MemoryStore
) -> None:
    """Its id says nothing of whose it is."""
    mine, theirs = ({"Authorization": f"Bearer {who}"} for who in ("pinger", "other"))
    task = {"id": "t", "name": "backup", "status": "Running"}
    assert (await locked_client.post("/task", json=task, headers=mine)).status == 200

    for method, path, body in (
        ("PATCH", "/task/t", {"status": "Failure"}),
        ("PATCH", "/task/t", {"new_failures": 5}),
        ("PATCH", "/task/pause/t", {}),
        ("DELETE", "/task/t", {}),
        ("PUT", "/task", {"task_id": "t", "new_failures": 5}),
    ):
        response = await locked_client.session.request(
            method, locked_client.make_url(path), json=body, headers=theirs
        )
        assert response.status == 403, (method, path)

    assert not await store.runs("backup", 9)
    (run,) = store.states["backup"].open_runs
    assert run.run_id == "t"


async def test_nobody_is_told_what_is_known(locked_client: Client) -> None:
    """The answers for jobs and paths that there are, and are not, are the same."""
    said = set()
    for path in ("/ping/backup", "/ping/nobody", "/api/v1/jobs/backup", "/nowhere"):
        response = await locked_client.get(path)
        said.add((response.status, await response.text()))

    ((status, text),) = said
    assert status == 401
    assert "send Authorization: Bearer TOKEN" in text


async def test_a_refusal_is_logged_without_what_was_shown(
    locked_client: Client,
) -> None:
    with capture_logs() as lines:
        for path in (
            "/ping/s3cret/quick",
            "/p/s3cret/quick",
            "/metrics",
            "/s3cret/a/b/c",
        ):
            await locked_client.get(path, headers={"Authorization": "Bearer s3cret"})

    assert [line["route"] for line in lines] == [
        "/ping/{key}/{job}{slash}",
        "/p/{key}/{job}{slash}",
        "{telemetry}",
        "(none)",
    ]
    assert all(line["event"] == "request_refused" for line in lines)
    assert "s3cret" not in str(lines)
