"""Whether a browser sends a request for another site than the one it is sent to."""

from __future__ import annotations

import pytest

from afterrun_exporter.auth.cross_site import is_foreign, is_from


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "Cross-Site"}, True),
        # It is the browser's word, and cannot be set by a page.
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, False),
        ({"Origin": "http://afterrun:10707"}, False),
        ({"Origin": "https://afterrun:10707"}, False),
        ({"Origin": "http://AFTERRUN:10707"}, False),
        ({"Origin": "http://afterrun"}, True),
        ({"Origin": "http://afterrun:80"}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "https://afterrun:10707.evil.example"}, True),
        ({"Origin": "https://evil.example/afterrun:10707"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "file://"}, True),
        ({"Origin": "https://[nonsense"}, True),
    ],
)
def test_a_browser_says_for_whom_it_asks(
    headers: dict[str, str], foreign: bool
) -> None:
    for method in ("GET", "POST"):
        assert is_foreign(headers, "afterrun:10707", method) is foreign


BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0 Safari/537.36"}
PICTURE = {"Accept": "image/avif,image/webp,*/*;q=0.8"}
PAGE = {"Accept": "text/html,application/xhtml+xml", "Upgrade-Insecure-Requests": "1"}


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        (BROWSER, True),
        (BROWSER | PICTURE, True),
        (PICTURE, True),
        (PAGE, True),
        (BROWSER | PAGE | {"Referer": "http://evil.example/"}, True),
        (BROWSER | PAGE | {"Referer": "http://afterrun:10707/jobs/a"}, False),
        (BROWSER | {"Sec-Fetch-Site": "none"}, False),
        (BROWSER | {"Origin": "http://afterrun:10707"}, False),
        ({"User-Agent": "curl/8.5.0", "Accept": "*/*"}, False),
        ({"User-Agent": "cronitor-python", "Accept": "application/json"}, False),
        (
            {"User-Agent": "Mozilla/5.0 (Windows NT 10.0) WindowsPowerShell/5.1"},
            False,
        ),
    ],
)
def test_a_browser_that_does_not_say_for_whom_it_asks_must_come_from_our_page(
    headers: dict[str, str], foreign: bool
) -> None:
    """Over plain http, to a name, it says nothing with a GET."""
    assert is_foreign(headers, "afterrun:10707", "GET") is foreign
    assert is_foreign(headers, "afterrun:10707", "POST") is False


@pytest.mark.parametrize(
    ("page", "host", "ours"),
    [
        ("https://a.example/jobs", "a.example", True),
        ("https://a.example/jobs", "a.example:443", True),
        ("http://a.example/jobs", "a.example", True),
        ("http://a.example/jobs", "a.example:443", False),
        ("http://[::1]:10707/", "[::1]:10707", True),
        ("a.example", "a.example", False),
    ],
)
def test_a_port_that_goes_without_saying_is_the_same(
    page: str, host: str, ours: bool
) -> None:
    assert is_from(page, host) is ours
