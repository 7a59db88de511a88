"""What a request brings along to show who sends it."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.auth.credentials import Credentials, authorization, sentry


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", Credentials()),
        ("Bearer", Credentials()),
        ("Bearer ", Credentials()),
        ("Bearer abc", Credentials(("abc",))),
        ("bearer  abc ", Credentials(("abc",))),
        ("Token abc", Credentials()),
        ("Basic", Credentials()),
        ("Basic !!!", Credentials()),
        ("Basic /w==", Credentials()),
        (basic("no colon"), Credentials()),
        (basic("anna:abc"), Credentials(("abc",), ("anna", "abc"))),
        (basic("anna:a:c"), Credentials(("a:c",), ("anna", "a:c"))),
        (basic("abc:"), Credentials(("abc",), ("abc", ""))),
        (basic(":"), Credentials((), ("", ""))),
        (basic(":abc"), Credentials(("abc",), ("", "abc"))),
    ],
)
def test_an_authorization_is_a_token_or_a_user(header: str, found: Credentials) -> None:
    assert authorization(header) == found


@given(st.text())
def test_whatever_a_header_says_it_can_be_read(header: str) -> None:
    authorization(header)
    authorization(f"Basic {header}")


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({}, {}, ""),
        ({}, {"sentry_key": "abc"}, "abc"),
        ({"X-Sentry-Auth": "Sentry sentry_version=7, sentry_key=abc"}, {}, "abc"),
        ({"X-Sentry-Auth": "Sentry sentry_key=abc, sentry_client=x"}, {}, "abc"),
        ({"X-Sentry-Auth": "Sentry sentry_version=7"}, {"sentry_key": "b"}, "b"),
    ],
)
def test_a_client_of_sentry_sends_a_public_key(
    headers: dict[str, str], query: dict[str, str], key: str
) -> None:
    assert sentry(headers, query) == key
