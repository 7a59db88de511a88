"""The health check of the image knows where the daemon listens; TLS: tests/e2e."""

from __future__ import annotations

import pytest

from afterrun_exporter.client.healthcheck import listen_address, route_prefix


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("afterrun serve", ("127.0.0.1", 10707)),
        ("afterrun serve --web.listen-address=:8080", ("127.0.0.1", 8080)),
        ("afterrun serve --web.listen-address :8080 -x", ("127.0.0.1", 8080)),
        ("python afterrun serve --web.listen-address=0.0.0.0:1", ("127.0.0.1", 1)),
        ("afterrun serve --web.listen-address=10.1.2.3:99", ("10.1.2.3", 99)),
        ("afterrun serve --web.listen-address=[::]:99", ("::1", 99)),
        ("afterrun serve --web.listen-address=[::1]:99", ("::1", 99)),
        (
            "afterrun serve --web.listen-address=:5 --web.listen-address=:6",
            ("127.0.0.1", 5),
        ),
    ],
)
def test_it_asks_at_the_first_address_of_the_daemon(
    words: str, address: tuple[str, int]
) -> None:
    assert listen_address(words.split()) == address


@pytest.mark.parametrize(
    ("flags", "prefix"),
    [
        ("", ""),
        ("--web.route-prefix=/afterrun", "/afterrun"),
        ("--web.route-prefix afterrun/", "/afterrun"),
        ("--web.route-prefix=/", ""),
        ("--web.route-prefix=/a --web.route-prefix=/b", "/b"),
        # Its path may be missing.
        ("--web.external-url=http://x/afterrun", ""),
    ],
)
def test_it_asks_under_the_prefix_of_the_daemon(flags: str, prefix: str) -> None:
    assert route_prefix(f"afterrun serve {flags}".split()) == prefix
