"""Credentials in the daemon's URL are used, and printed nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.client.daemon import Daemon, NotDeliveredError
from afterrun_exporter.client.urls import authorization, public_url
from tests.client.doubles import told


@pytest.mark.parametrize(
    ("url", "public", "header"),
    [
        ("http://host:1/", "http://host:1", ""),
        ("http://host:1/p", "http://host:1/p", ""),
        ("http://any:T@host:1/", "http://host:1", "Basic YW55OlQ="),
        ("https://any:T@[::1]:1/p", "https://[::1]:1/p", "Basic YW55OlQ="),
        ("http://T@host", "http://host", "Basic VDo="),
        ("http://any:a%2Fb@host", "http://host", "Basic YW55OmEvYg=="),
        ("http://any:a@b@host", "http://host", "Basic YW55OmFAYg=="),
        ("http://any:a/b@host", "http://***", ""),
        ("http://any:1/b@host", "http://***", ""),
        ("http://any:a?b@host", "http://***", ""),
        ("http://any:a#b@host", "http://***", ""),
        ("any:T@host:10707", "***", ""),
        ("http://any:T@[host", "http://***", ""),
        ("ftp://any:T@host", "***", ""),
    ],
)
def test_a_url_is_shown_without_its_credentials(
    url: str, public: str, header: str
) -> None:
    assert public_url(url) == public
    assert public_url(public) == public
    assert authorization(url, "") == header
    assert authorization(url, "token") == "Bearer token"


MARK = "S3CRET"


@given(
    st.text(max_size=10),
    st.text(max_size=10),
    st.sampled_from(["http://", "https://", "", "//", "ftp://"]),
    st.sampled_from(["u:", "", "u:p:"]),
)
def test_no_password_is_printed_however_odd_it_is(
    before: str, after: str, scheme: str, user: str
) -> None:
    url = f"{scheme}{user}{before}{MARK}{after}@127.0.0.1:9"
    daemon = Daemon(url)

    with pytest.raises(NotDeliveredError) as caught:
        daemon.send(told("a"), 1.0)

    assert MARK not in str(caught.value)
    assert MARK not in daemon.url


@given(
    st.text(st.characters(), max_size=10), st.sampled_from("\n\r\0\x7fé\u2028\udcff")
)
def test_a_token_that_no_header_can_carry_is_not_printed(text: str, bad: str) -> None:
    """A library's error would quote it."""
    daemon = Daemon("http://127.0.0.1:9", f"{MARK}{text}{bad}{MARK}")

    with pytest.raises(NotDeliveredError, match="the token has a line break") as caught:
        daemon.send(told("a"), 1.0)

    assert MARK not in str(caught.value)
    assert not caught.value.again
