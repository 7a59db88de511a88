"""Paths as they may be told to others: without the keys that stand in some."""

from __future__ import annotations

import pytest

from afterrun_exporter.auth.redaction import without_key
from afterrun_exporter.auth.tokens import new_token

OURS = "ar_wWCzRt0EdF7325mqp7K66oEXHpGbrNz32lPgz5GJvWU"
UUID = "0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/ping/KEY/backup", "/ping/***/backup"),
        ("/ping/KEY/backup/start?rid=1", "/ping/***/backup/start?rid=1"),
        ("/p/KEY/backup", "/p/***/backup"),
        ("/p/KEY/backup/run", "/p/***/backup/run"),
        ("/api/42/cron/backup/KEY", "/api/42/cron/backup/***"),
        ("/api/42/cron/backup/KEY/?status=ok", "/api/42/cron/backup/***/?status=ok"),
        ("/api/42/unreal/KEY/", "/api/42/unreal/***/"),
        (
            "/api/42/envelope/?sentry_key=KEY&a=b",
            "/api/42/envelope/?sentry_key=***&a=b",
        ),
        ("/api/1/x?a=b&api_key=KEY", "/api/1/x?a=b&api_key=***"),
        # A token of ours is one even where a job may stand.
        (f"/ping/{OURS}/123?rid=x", "/ping/ar_***/123?rid=x"),
        (f"/ping/{OURS}/start", "/ping/ar_***/start"),
        (f"/ping/{OURS}", "/ping/ar_***"),
        # There is none in these.
        ("/ping/backup", "/ping/backup"),
        ("/ping/backup/", "/ping/backup/"),
        ("/ping/backup/start", "/ping/backup/start"),
        ("/ping/backup/0?a=b", "/ping/backup/0?a=b"),
        (f"/ping/{UUID}/start", f"/ping/{UUID}/start"),
        (f"/ping/{UUID}/nonsense", f"/ping/{UUID}/nonsense"),
        ("/pings/KEY/backup", "/pings/KEY/backup"),
        ("/api/v1/jobs/backup/runs", "/api/v1/jobs/backup/runs"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_a_key_is_not_told(path: str, told: str) -> None:
    assert without_key(path) == told


def test_no_token_that_we_make_is_told() -> None:
    assert without_key(f"/ping/{new_token()}/start") == "/ping/ar_***/start"
