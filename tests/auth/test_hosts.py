from __future__ import annotations

import pytest

from afterrun_exporter.auth.hosts import Hosts, is_loopback

HOSTS = Hosts(["Afterrun.example", "box"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:10707",
        "LOCALHOST.",
        "afterrun.localhost:80",
        "127.0.0.1",
        "192.0.2.7:10707",
        "[::1]:10707",
        "[fe80::1%25eth0]:10707",
        "afterrun.example:443",
        "AFTERRUN.EXAMPLE.",
        "box",
    ],
)
def test_addresses_and_names_of_ours_are_no_other_sites(host: str) -> None:
    assert HOSTS.has(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:10707",
        "127.0.0.1.evil.example",
        "notlocalhost",
        "box.evil.example",
        "[::1",
        "",
        "1",
        "a@evil.example",
    ],
)
def test_any_other_name_may_be(host: str) -> None:
    assert not HOSTS.has(host)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_alone(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
