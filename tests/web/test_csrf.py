"""Forms of the page, and nobody else's."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.access.callers import Caller, Scope
from afterrun_exporter.errors import ForbiddenError
from afterrun_exporter.ingest.desk import CALLER
from afterrun_exporter.service import Service
from afterrun_exporter.testing import ManualClock, MemoryStore
from afterrun_exporter.web.csrf import FIELD, FOREIGN, OLD, VALID, Forms
from afterrun_exporter.web.guard import Doors
from afterrun_exporter.web.headers import POLICY
from tests.http import Client, locked, token, whole_app

HOST = "afterrun.example:10707"


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
    doors = locked(admin=token(Scope.ADMIN), pinger=token(Scope.PING))
    return await aiohttp_client(whole_app(service, store, clock, doors))


FOREIGNERS = [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}]


@pytest.mark.parametrize("headers", FOREIGNERS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/-/reload"),
        ("POST", "/api/v1/alerts/test"),
        ("POST", "/api/v1/jobs/backup/receivers"),
        ("DELETE", "/api/v1/receivers/1"),
        ("POST", "/ping/backup"),
        ("GET", "/ping/backup"),
        ("GET", "/api/push/backup"),
    ],
)
async def test_no_other_site_makes_a_browser_change_anything(
    locked_client: Client,
    store: MemoryStore,
    headers: dict[str, str],
    method: str,
    path: str,
) -> None:
    """A browser sends the password along, whoever made it ask."""
    client = locked_client
    response = await client.session.request(
        method,
        client.make_url(path),
        headers={**headers, "Authorization": "Basic eDphZG1pbg=="},  # x:admin
    )

    assert response.status == 403
    assert "another site" in await response.text()
    assert not await store.runs("backup", 9)


@pytest.mark.parametrize("headers", FOREIGNERS)
async def test_without_locks_no_other_site_changes_anything_either(
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    headers: dict[str, str],
) -> None:
    """The daemon on somebody's own machine is reached by every page they look at."""
    client = await aiohttp_client(whole_app(service, store, clock, Doors()))

    assert (await client.post("/-/reload", headers=headers)).status == 403
    assert (await client.get("/api/v1/jobs", headers=headers)).status == 200


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
    client = await aiohttp_client(whole_app(service, store, clock, Doors()))
    page = await client.get("/")
    data = await client.get("/metrics")

    headers = page.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert data.headers["X-Content-Type-Options"] == "nosniff"
