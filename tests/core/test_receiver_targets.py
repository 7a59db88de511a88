"""Targets of receivers: checked, and shown without what is secret."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.receiver_targets import (
    check_target,
    displayed,
    is_plain,
    origin,
)
from afterrun_exporter.core.routing import ReceiverType

URL = "https://hooks.example.com/services/SECRET"


@pytest.mark.parametrize(
    ("kind", "target", "shown", "logged"),
    [
        ("webhook", URL, "https://hooks.example.com/…", "https://hooks.example.com"),
        ("slack", "https://a.example/", "https://a.example/", "https://a.example"),
        ("email", "on@call.example", "on@call.example", "mailto:call.example"),
    ],
)
def test_of_a_url_only_the_host_is_shown(
    kind: str, target: str, shown: str, logged: str
) -> None:
    assert displayed(ReceiverType(kind), target) == shown
    assert origin(ReceiverType(kind), target) == logged


@pytest.mark.parametrize(
    ("kind", "target"),
    [("webhook", URL), ("discord", URL), ("email", "on.call+db@example.com")],
)
def test_usable_targets_are_accepted(kind: str, target: str) -> None:
    check_target(ReceiverType(kind), target)


@pytest.mark.parametrize(
    ("kind", "target", "problem"),
    [
        ("email", "oncall", "is not a mail address"),
        ("email", f"a@{'b' * 260}.example", "is not a mail address"),
        ("webhook", f"https://a.example/{'x' * 2048}", "use at most 2048"),
        ("webhook", "https://a.example/a b", "write it as %20"),
        ("webhook", "https://a.example:port/", "it is not a URL"),
        ("webhook", "https://user:password@a.example/", "user or password"),
        ("webhook", "ftp://a.example/", "is not an http or https URL"),
        ("webhook", "https:///path", "is not an http or https URL"),
        ("webhook", "https://a.example:0/", "is not an http or https URL"),
        ("webhook", "https://a.example/#top", "leave out # and the rest"),
        ("discord", "https://a.example/?wait=true", "leave out ? and the rest"),
    ],
)
def test_an_unusable_target_is_refused_with_the_reason(
    kind: str, target: str, problem: str
) -> None:
    with pytest.raises(ValueError, match="(?s)" + problem.replace("?", r"\?")):
        check_target(ReceiverType(kind), target)


@pytest.mark.parametrize(
    ("kind", "target", "plain"),
    [
        (ReceiverType.WEBHOOK, "https://hooks.example.com/a/b-c_d~e.f", True),
        (ReceiverType.WEBHOOK, "http://10.0.0.1:65535", True),
        (ReceiverType.WEBHOOK, "https://hooks.example.com/?key=1", False),
        (ReceiverType.WEBHOOK, "https://hooks.example.com/%zz", False),
        (ReceiverType.WEBHOOK, "https://[::1]/", False),
        (ReceiverType.SLACK, "https://hooks.example.com/%zz", True),
        (ReceiverType.EMAIL, "a%b@example.com", True),
    ],
)
def test_alertmanager_cannot_refuse_a_plain_target(
    kind: ReceiverType, target: str, plain: bool
) -> None:
    """Only the URLs of webhooks are in its configuration as URLs."""
    assert is_plain(kind, target) is plain
