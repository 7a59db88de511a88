"""What proxies say of those they speak for, where they are believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.auth.proxies import Forwarded, Proxies

OURS = Proxies(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("fd00::1%eth0", True),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("", False),
        ("unix:", False),
        (None, False),
    ],
)
def test_a_peer_is_believed_if_it_is_listed(peer: str | None, trusted: bool) -> None:
    assert OURS.trusts(peer) is trusted
    assert not Proxies().trusts(peer)


@pytest.mark.parametrize(
    ("clients", "client"),
    [
        ([], "10.0.0.1"),
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.9, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.9", "192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        (["192.0.2.9, 192.0.2.1, 10.0.0.2, 10.0.0.3"], "192.0.2.1"),
        (["10.0.0.2"], "10.0.0.2"),
        (["192.0.2.1:1234"], "192.0.2.1"),
        (["[2001:db8::1]:1234"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["192.0.2.9, nonsense"], "10.0.0.1"),
        (["192.0.2.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        ([""], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_who_is_no_proxy(
    clients: list[str], client: str
) -> None:
    """What a client writes before that itself is never believed."""
    assert OURS.client("10.0.0.1", clients) == client


@pytest.mark.parametrize(
    ("schemes", "hosts", "scheme", "host"),
    [
        ([], [], None, None),
        (["https"], ["afterrun.example"], "https", "afterrun.example"),
        (["http, HTTPS"], ["a, b:8443"], "https", "b:8443"),
        (["javascript"], ["a b"], None, None),
        (["https"], ["[::1]:80"], "https", "[::1]:80"),
        (["https"], ["evil.example/path"], "https", None),
    ],
)
def test_scheme_and_host_are_those_of_the_client(
    schemes: list[str], hosts: list[str], scheme: str | None, host: str | None
) -> None:
    told = OURS.forwarded("10.0.0.1", ["192.0.2.1"], schemes, hosts)

    assert told == Forwarded("192.0.2.1", scheme, host)


@given(st.lists(st.text()))
def test_whatever_is_said_somebody_has_asked(said: list[str]) -> None:
    assert OURS.client("10.0.0.1", said)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8 has host bits set"):
        Proxies(["10.0.0.1/8"])
