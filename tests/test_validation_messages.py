"""The same mistake has the same description, wherever it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter.api import operations
from afterrun_exporter.api.request_parsing import _object_of
from afterrun_exporter.config import parse
from afterrun_exporter.config.web_loading import load_web
from afterrun_exporter.errors import ConfigError, PingError, RequestError
from afterrun_exporter.ingest.reports import ping_of


def in_file(text: str) -> str:
    """Return the first problem of an afterrun.yml, without its place."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return caught.value.problems[0].message


def in_web_file(text: str, folder: Path) -> str:
    path = folder / "web.yml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_web(path)
    return caught.value.problems[0].message


def in_body(operation: Any, body: object) -> str:
    """Return the problem of the body of an API request, without its place."""
    with pytest.raises(RequestError) as caught:
        _object_of(operation, json.dumps(body).encode(), is_text=False)
    return str(caught.value).split(": ", 1)[1]


def in_report(fields: object) -> str:
    """Return the problem of a report, without its place."""
    try:
        ping, _ = ping_of("a", fields, at=1.0, fingerprint=b"", metrics_limit=5)
    except PingError as error:
        return str(error).split(": ", 1)[1]
    return ping.warnings[0].partition(": ")[2]


def in_description(fields: object) -> str:
    """Return the problem of the settings that a client sends for its job."""
    unknown = parse("{labels: []}").job_config.unknown
    assert unknown is not None
    with pytest.raises(ValueError, match=": ") as caught:
        unknown("a", json.dumps(fields))
    return str(caught.value).split(": ", 1)[1]


@pytest.mark.parametrize(
    ("message", "entrances"),
    [
        (
            "unknown key; did you mean 'status'?",
            (lambda: in_report({"stauts": "fail"}),),
        ),
        (
            "unknown key; did you mean 'rules'?",
            (
                lambda: in_file("jobs: {a: {every: 1h, rule: []}}"),
                lambda: in_body(operations.BACKTEST, {"rule": []}),
                lambda: in_description({"rule": []}),
            ),
        ),
        (
            "expected true or false, not 'yes'",
            (
                lambda: in_file("jobs: {a: {enabled: 'yes'}}"),
                lambda: in_body(operations.PAUSE, {"resume_on_ping": "yes"}),
                lambda: in_body(operations.BACKTEST, {"add": "yes"}),
                lambda: in_description({"enabled": "yes"}),
            ),
        ),
        (
            "expected text, not 5: put it in quotes",
            (
                lambda: in_file("jobs: {a: {description: 5}}"),
                lambda: in_body(operations.PAUSE, {"until": 5}),
                lambda: in_body(operations.CHECK, {"config": 5}),
                lambda: in_report({"message": 5}),
            ),
        ),
        (
            "expected keys and values, not a list",
            (
                lambda: in_file("limits: []"),
                lambda: in_report({"metadata": []}),
                lambda: in_description({"alerts": []}),
            ),
        ),
        (
            "0 is too small: at least 1",
            (
                lambda: in_file("jobs: {a: {max_attempts: 0}}"),
                lambda: in_body(operations.BACKTEST, {"limit": 0}),
                lambda: in_report({"attempt": 0}),
            ),
        ),
        (
            "120 is not a duration: write 120s or 2m",
            (
                lambda: in_file("jobs: {a: {every: 120}}"),
                lambda: in_body(operations.PAUSE, {"for": 120}),
                lambda: in_body(operations.TEST_ALERT, {"for": 120}),
                lambda: in_description({"every": 120}),
            ),
        ),
        (
            "unknown severity 'crit'; did you mean 'critical'?",
            (
                lambda: in_file("jobs: {a: {severity: crit}}"),
                lambda: in_body(operations.TEST_ALERT, {"severity": "crit"}),
                lambda: in_description({"severity": "crit"}),
            ),
        ),
        (
            "empty: set a value or remove the key",
            (
                lambda: in_file("jobs: {a: {every: }}"),
                lambda: in_body(operations.PAUSE, {"resume_on_ping": None}),
            ),
        ),
        (
            "expected a rule like rows_processed > 0, not 5",
            (
                lambda: in_file("jobs: {a: {every: 1h, rules: [5]}}"),
                lambda: in_body(operations.BACKTEST, {"rules": [5]}),
                lambda: in_description({"rules": [5]}),
            ),
        ),
    ],
)
def test_a_mistake_is_described_alike(
    message: str, entrances: tuple[Callable[[], str], ...]
) -> None:
    assert {entrance() for entrance in entrances} == {message}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tls_server_config: {cert_file: a, key_file: b, min_versoin: TLS12}",
            "unknown key; did you mean 'min_version'?",
        ),
        ("http_server_config: []", "expected keys and values, not a list"),
        (
            "http_server_config: {http2: 'yes'}",
            "expected true or false, not a text",
        ),
    ],
)
def test_the_web_configuration_file_is_described_alike(
    tmp_path: Path, text: str, message: str
) -> None:
    """Except that its values, which may be secrets, are not quoted."""
    assert in_web_file(text, tmp_path) == message


def test_a_choice_is_described_alike() -> None:
    """With the nearest choice, or all."""
    in_file_ = in_file("jobs: {a: {on_downtime: wiat}}")
    in_body_ = in_body(
        operations.ADD_RECEIVER, {"alert_type": "slak", "target": "https://a.example"}
    )

    assert in_file_ == "unknown value 'wiat'; did you mean 'wait'?"
    assert in_body_ == "unknown value 'slak'; did you mean 'slack'?"
