"""Badges: how a job is doing, in a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from aiohttp import ClientResponse

from afterrun_exporter.api.badge import COLOURS, render
from afterrun_exporter.core.status import Status
from tests.fakes import ManualClock
from tests.http import Client

SVG = "{http://www.w3.org/2000/svg}"

GOOD = {"metrics": {"rows": 120, "size": 48211}}
EMPTY = {"metrics": {"rows": 0, "size": 48211}}


async def badge(client: Client, job: str) -> tuple[ClientResponse, ET.Element]:
    response = await client.get(f"/badge/{job}.svg")
    assert response.content_type == "image/svg+xml"
    return response, ET.fromstring(await response.text())  # noqa: S314 - it is ours


def said(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


async def test_a_badge_says_how_a_job_is_doing(
    client: Client, clock: ManualClock
) -> None:
    """In one of the words of the API."""
    seen = []

    async def look() -> None:
        response, picture = await badge(client, "backup")
        assert response.status == 200
        seen.append(said(picture)[1])

    await look()
    await client.post("/ping/backup", json=GOOD)
    await look()
    await client.post("/ping/backup", json=EMPTY)
    await look()
    await client.post("/ping/backup", json={"status": "fail", "run_id": "2"})
    await look()
    await client.post("/ping/backup", json={**GOOD, "run_id": "3"})
    await clock.advance(86_400)
    await look()
    await client.post("/api/v1/jobs/backup/pause")
    await look()

    assert seen == ["new", "ok", "violated", "failing", "missed", "paused"]


async def test_a_badge_can_be_read_aloud(client: Client) -> None:
    """It is one picture, with a title that says all of it."""
    _, picture = await badge(client, "backup")

    assert picture.get("role") == "img"
    assert picture.get("aria-label") == picture.findtext(f"{SVG}title") == "backup: new"


async def test_a_badge_is_asked_for_again_each_time(client: Client) -> None:
    """And sent only when it is another: pages that show it are cached, it is not."""
    first, _ = await badge(client, "backup")
    known = {"If-None-Match": first.headers["ETag"]}
    again = await client.get("/badge/backup.svg", headers=known)
    await client.post("/ping/backup", json=GOOD)
    changed = await client.get("/badge/backup.svg", headers=known)

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status, changed.status) == (304, 200)


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ("bakup", "bakup"),
        ("backup.svg", "backup.svg"),
        ("%3Cscript%3E", "job"),
        ("%00", "job"),
        ("x" * 200, "job"),
        ("-", "job"),
    ],
)
async def test_a_job_nobody_knows_has_a_badge_that_says_so(
    client: Client, job: str, name: str
) -> None:
    """A page shows a picture or none, whatever the status; nothing odd is repeated."""
    response, picture = await badge(client, job)

    assert response.status == 404
    assert said(picture) == [name, "unknown"]


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("state", Status)
def test_white_words_can_be_read_on_every_colour(state: Status) -> None:
    """As WCAG 2 reckons contrast."""
    assert 1.05 / (luminance(COLOURS[state]) + 0.05) >= 4.5


@pytest.mark.parametrize("state", [*Status, None])
@pytest.mark.parametrize("name", ["a", "nightly-backup", "W" * 128])
def test_a_picture_is_as_wide_as_what_it_says(name: str, state: Status | None) -> None:
    picture = ET.fromstring(render(name, state))  # noqa: S314 - it is ours

    width = int(picture.get("width", "0"))
    ends = [
        int(text.get("x", "0")) + int(text.get("textLength", "0"))
        for text in picture.iter(f"{SVG}text")
    ]
    assert ends == sorted(ends)
    assert ends[-1] + 6 == width
