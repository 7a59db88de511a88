"""Forms of the page, and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.auth.forbidden import FOREIGN, OLD
from afterrun_exporter.auth.form_tokens import FIELD, VALID, Forms
from afterrun_exporter.auth.hosts import Hosts
from afterrun_exporter.auth.request_caller import CALLER
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ForbiddenError
from afterrun_exporter.server.headers import POLICY
from afterrun_exporter.server.security import SecuritySettings
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, locked, token, whole_app
from tests.server.everywhere import UUID, body_of, path_of, routes_of

HOST = "afterrun.example:10707"
SITE = re.compile("another site|cross-site")


def request(headers: Mapping[str, str] | None = None, who: str = "anna") -> web.Request:
    made = make_mocked_request("POST", "/", {"Host": HOST, **(headers or {})})
    made[CALLER] = Caller(who, frozenset({Scope.ADMIN}))
    return made


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": f"http://{HOST}"},
        {"Referer": f"http://{HOST}/jobs/backup"},
        # Some browsers, and people, send nothing at all.
        {},
    ],
)
def test_a_form_of_ours_is_taken(clock: ManualClock, headers: dict[str, str]) -> None:
    forms = Forms(clock)

    forms.check(request(headers), {FIELD: forms.token(request())})


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/"},
    ],
)
def test_a_form_of_another_site_is_not(
    clock: ManualClock, headers: dict[str, str]
) -> None:
    """Whatever else it has: it may have been read from our page by a person."""
    forms = Forms(clock)

    with pytest.raises(ForbiddenError, match=FOREIGN[:20]):
        forms.check(request(headers), {FIELD: forms.token(request())})


@pytest.mark.parametrize("age", [0.0, VALID])
async def test_a_page_may_stay_open_for_long(clock: ManualClock, age: float) -> None:
    forms = Forms(clock)
    written = forms.token(request())

    await clock.advance(age)

    forms.check(request(), {FIELD: written})


async def test_a_page_may_not_stay_open_for_ever(clock: ManualClock) -> None:
    forms = Forms(clock)
    written = forms.token(request())

    await clock.advance(VALID + 1)

    with pytest.raises(ForbiddenError, match=OLD[:20]):
        forms.check(request(), {FIELD: written})


async def test_a_form_of_another_replica_is_taken() -> None:
    """They started at other times, and share a secret and the time of day."""
    one, other = ManualClock(), ManualClock()
    await one.suspend(VALID * 3)
    other.show(one.now())
    written = Forms(one, b"shared").token(request())

    Forms(other, b"shared").check(request(), {FIELD: written})
    await other.advance(VALID + 1)
    with pytest.raises(ForbiddenError, match=OLD[:20]):
        Forms(other, b"shared").check(request(), {FIELD: written})


def test_a_form_that_nobody_marked_is_not_taken(clock: ManualClock) -> None:
    """Nor one of another person, or from before a restart."""
    forms = Forms(clock)
    ours = forms.token(request())

    for said in (
        {},
        {FIELD: ""},
        {FIELD: "nonsense"},
        {FIELD: "1.2"},
        {FIELD: "ä.ö"},
        {FIELD: f"0{ours}"},
        {FIELD: f"{ours}0"},
        {FIELD: forms.token(request(who="bert"))},
        {FIELD: Forms(clock).token(request())},
    ):
        with pytest.raises(ForbiddenError, match=OLD[:20]):
            forms.check(request(), said)


@pytest.fixture
async def locked_client(
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> Client:
    """A daemon that one may reload and ping with tokens."""
    security = locked(admin=token(Scope.ADMIN), pinger=token(Scope.PING))
    return await aiohttp_client(whole_app(service, store, clock, security))


FOREIGNERS = [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}]

#: Clients of Cronitor pause with these; no other GET changes anything but a ping.
PAUSING = {"/api/monitors/{job}/pause", "/api/monitors/{job}/pause/{hours}"}


def is_changing(method: str, route: str) -> bool:
    return method not in {"GET", "HEAD", "OPTIONS"} or route in PAUSING


async def ask_for_all(
    client: Client, headers: Mapping[str, str]
) -> dict[tuple[str, str], tuple[int, str]]:
    """Return status and text of the answer to every method of every route."""
    answers = {}
    for method, route in routes_of(client.app):
        url = client.make_url("/").join(URL(path_of(route), encoded=True))
        response = await client.session.request(
            method, url, headers=headers, data=body_of(route) or None
        )
        answers[method, route] = response.status, await response.text()
    return answers


@pytest.mark.parametrize("headers", FOREIGNERS)
async def test_no_other_site_makes_a_browser_change_anything(
    locked_client: Client, store: MemoryStore, headers: dict[str, str]
) -> None:
    """A browser sends the password along, whoever made it ask."""
    before = dict(store.states)

    answers = await ask_for_all(
        locked_client,
        {**headers, "Authorization": "Basic eDphZG1pbg=="},  # x:admin
    )

    passed = {
        (method, route): answer
        for (method, route), answer in answers.items()
        if is_changing(method, route)
        or endpoints.required_scope(method, route) is Scope.PING
        if endpoints.required_scope(method, route) is not endpoints.OPEN
        if answer[0] != 403 or not (method == "HEAD" or SITE.search(answer[1]))
    }
    assert passed == {}
    assert store.states == before
    assert not await store.runs("backup", 9)


@pytest.mark.parametrize("headers", FOREIGNERS)
async def test_without_locks_no_other_site_changes_anything_but_by_pings(
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    headers: dict[str, str],
) -> None:
    """The daemon on somebody's own machine is reached by every page they look at."""
    client = await aiohttp_client(whole_app(service, store, clock, SecuritySettings()))

    answers = await ask_for_all(client, headers)

    refused = {key for key, (status, _) in answers.items() if status == 403}
    assert refused == {
        (method, route)
        for method, route in answers
        if is_changing(method, route)
        and endpoints.required_scope(method, route) is not Scope.PING
    }
    assert store.states["backup"].paused_at == 0.0


async def test_without_locks_no_name_of_another_site_leads_here(
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> None:
    """A site can have its name lead to this machine, and is then the same site."""
    security = SecuritySettings(hosts=Hosts(["afterrun.example"]))
    client = await aiohttp_client(whole_app(service, store, clock, security))
    before = dict(store.states)

    misled = await ask_for_all(client, {"Host": f"evil.example:{client.port}"})

    for (method, route), (status, text) in misled.items():
        wanted = endpoints.required_scope(method, route)
        if wanted is endpoints.OPEN or wanted is Scope.PING:
            assert status != 403, (method, route)
        else:
            assert status == 403, (method, route)
            assert method == "HEAD" or "--web.external-url=http://NAME" in text
    assert store.states.keys() - before.keys() <= {UUID}
    for host in ("localhost", "afterrun.example", f"127.0.0.1:{client.port}"):
        response = await client.get("/api/v1/jobs", headers={"Host": host})
        assert response.status == 200


async def test_with_locks_any_name_leads_here(locked_client: Client) -> None:
    """The browser of whoever looks at another site has no password for its name."""
    response = await locked_client.get(
        "/api/v1/jobs",
        headers={"Host": "any.example", "Authorization": "Bearer admin"},
    )

    assert response.status == 200


async def test_a_link_from_another_site_leads_to_the_page(
    locked_client: Client,
) -> None:
    """Looking is no harm: the other site does not see what is shown."""
    response = await locked_client.get(
        "/",
        headers={
            "Authorization": "Basic eDphZG1pbg==",
            "Sec-Fetch-Site": "cross-site",
        },
    )

    assert response.status == 200


async def test_a_page_of_another_origin_may_ping_with_a_token(
    locked_client: Client,
) -> None:
    """It had to know the token, which no browser sends by itself."""
    response = await locked_client.post(
        "/ping/backup",
        headers={
            "Authorization": "Bearer pinger",
            "Origin": "https://ours.example",
        },
    )

    assert response.status == 200


async def test_a_page_allows_nothing_that_is_not_ours(
    aiohttp_client: AiohttpClient,
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
) -> None:
    client = await aiohttp_client(whole_app(service, store, clock, SecuritySettings()))
    page = await client.get("/")
    data = await client.get("/metrics")
    verdict = await client.post("/ping/backup", json={})

    headers = page.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert data.headers["X-Content-Type-Options"] == "nosniff"
    assert verdict.headers["X-Content-Type-Options"] == "nosniff"
    assert data.headers["Cache-Control"] == "no-store"
