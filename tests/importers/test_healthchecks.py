"""Checks of Healthchecks become jobs, and what they lose on the way is reported."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config import parse
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.importers.healthchecks import read
from afterrun_exporter.importers.model import Imported, InputFile
from afterrun_exporter.importers.writing import render, validated

UUID: Final = "31365bce-8da9-4729-8ff3-aaa71d56b712"
OTHER: Final = "803f680d-e89b-492b-82ef-2be7b774a92d"

#: A check as version 3 of the API answers it.
CHECK: Final[dict[str, Any]] = {
    "name": "Filesystem Backup",
    "slug": "filesystem-backup",
    "tags": "backup fs",
    "desc": "Runs incremental backup every hour",
    "grace": 600,
    "n_pings": 1,
    "status": "up",
    "started": False,
    "last_ping": "2026-03-24T14:02:03+00:00",
    "next_ping": "2026-03-24T15:02:03+00:00",
    "manual_resume": False,
    "methods": "",
    "subject": "",
    "subject_fail": "",
    "start_kw": "",
    "success_kw": "",
    "failure_kw": "",
    "filter_subject": False,
    "filter_body": False,
    "filter_http_body": False,
    "filter_default_fail": False,
    "badge_url": "https://hc.example/b/2/d3b1.svg",
    "uuid": UUID,
    "ping_url": f"https://hc.example/ping/{UUID}",
    "update_url": f"https://hc.example/api/v3/checks/{UUID}",
    "pause_url": f"https://hc.example/api/v3/checks/{UUID}/pause",
    "resume_url": f"https://hc.example/api/v3/checks/{UUID}/resume",
    "channels": "",
    "timeout": 3600,
}
#: What the answer to a read-only key lacks.
HIDDEN: Final = (
    "uuid",
    "ping_url",
    "update_url",
    "pause_url",
    "resume_url",
    "channels",
)


def imported(*checks: dict[str, Any], text: str = "") -> Imported:
    text = text or json.dumps({"checks": checks}, indent=2)
    return read([InputFile("checks.json", text)])


def settings(**more: Any) -> dict[str, Any]:
    """Return the settings of the only job of a check with other fields."""
    fields = {**CHECK, **more}
    (job,) = imported({k: v for k, v in fields.items() if v is not None}).jobs
    return dict(job.settings)


def reports(*checks: dict[str, Any]) -> list[str]:
    return list(map(str, imported(*checks).unmapped))


def test_a_check_is_a_job() -> None:
    """Old ping URLs go on working, and the limit from start to end is the grace."""
    (job,) = imported(CHECK).jobs

    assert job.name == "filesystem-backup"
    assert job.settings == {
        "display_name": "Filesystem Backup",
        "description": "Runs incremental backup every hour",
        "every": "1h",
        "grace": "10m",
        "max_runtime": "10m",
        "tags": ["backup", "fs"],
        "ping_uuid": UUID,
    }
    assert str(job.source) == "checks.json:3"
    assert imported(CHECK).unmapped == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"schedule": "15 5 * * *", "tz": "Europe/Riga", "timeout": None},
            {"schedule": "15 5 * * *", "timezone": "Europe/Riga"},
        ),
        (
            {"schedule": " 0,30  * * * * "},
            {"schedule": "0,30 * * * *", "timezone": "UTC"},
        ),
        ({"schedule": "0 0 * * MON"}, {"schedule": "0 0 * * MON", "timezone": "UTC"}),
        ({"timeout": 90}, {"every": "1m30s"}),
    ],
)
def test_its_schedule_is_kept(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    found = settings(**fields)

    assert {key: found.get(key) for key in expected} == expected
    assert ("every" in found) != ("schedule" in found)


def test_calendar_expressions_are_kept() -> None:
    """Healthchecks has them in the same field, one a line."""
    one = settings(schedule="Mon..Fri 12:00", tz="Europe/Riga")
    two = settings(schedule="Mon *-*-* 12:00\r\n\n Sat 10:00", tz="UTC")

    assert (one["oncalendar"], one["timezone"]) == ("Mon..Fri 12:00", "Europe/Riga")
    assert two["oncalendar"] == ["Mon *-*-* 12:00", "Sat 10:00"]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_the_api_has_the_ping_address(version: int) -> None:
    """Before version 3 it was only in URLs; in version 1, a running check is started."""
    fields = dict(CHECK, status="started" if version == 1 else "up")
    if version < 3:
        del fields["uuid"]

    (job,) = imported(fields).jobs

    assert job.settings["ping_uuid"] == UUID


def test_a_read_only_key_hides_the_ping_addresses() -> None:
    """Said once for all checks."""
    fields = {key: value for key, value in CHECK.items() if key not in HIDDEN}
    both = [
        {**fields, "unique_key": "a6c7b0a8"},
        {**fields, "name": "DB", "slug": "db", "unique_key": "124f983e"},
    ]

    (report,) = reports(*both)

    assert report.startswith("checks.json:3: Filesystem Backup, DB: ping_url: ")
    assert "use a read-write key" in report
    assert all("ping_uuid" not in job.settings for job in imported(*both).jobs)


def test_names_are_unique_and_valid() -> None:
    """Healthchecks allows any name, none at all, and the same one twice."""
    checks = [
        {
            **CHECK,
            "name": name,
            "slug": slug,
            "uuid": uuid,
            "ping_url": "",
            "update_url": "",
        }
        for name, slug, uuid in [
            ("Backup", "backup", UUID),
            ("Backup", "backup", OTHER),
            ("Übung 🎉", "", ""),
            ("", "", "9b9e2d0c-0000-4000-8000-000000000000"),
            ("", "", ""),
        ]
    ]

    names = [job.name for job in imported(*checks).jobs]

    assert names == ["backup", "backup-2", "Ubung", "check-9b9e2d0c", "check"]


def test_a_paused_check_is_not_enabled() -> None:
    """With what is different from Healthchecks, unless it stays paused there, too."""
    paused = {**CHECK, "status": "paused"}
    (job,) = imported(paused).jobs
    (manual,) = imported({**paused, "manual_resume": True}).jobs

    assert job.settings["enabled"] is False
    assert "Healthchecks resumes it with the next ping" in job.comments[0]
    assert (manual.settings["enabled"], manual.comments) == (False, ())
    assert reports({**paused, "manual_resume": True}) == []


def test_a_check_that_was_never_pinged_has_a_comment() -> None:
    (job,) = imported({**CHECK, "status": "new", "n_pings": 0}).jobs

    assert job.comments == ("was never pinged; AfterRun expects its first run",)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"manual_resume": True}, "manual_resume: true"),
        ({"methods": "POST"}, "methods: 'POST'"),
        ({"filter_subject": True, "success_kw": "OK"}, "filter_subject: true"),
        ({"filter_body": True}, "filter_body: true"),
        ({"filter_http_body": True, "start_kw": "BEGIN"}, "start_kw: 'BEGIN'"),
        ({"filter_http_body": True, "success_kw": "A,B"}, "success_kw: 'A,B'"),
        (
            {"filter_http_body": True, "filter_default_fail": True},
            "filter_default_fail: true",
        ),
        ({"channels": "1bdea468,*"}, "channels: '1bdea468'"),
        ({"some_new_field": 5}, "some_new_field: 5"),
        ({"grace": "1h"}, "grace: '1h'"),
        ({"timeout": -1}, "timeout: -1"),
        ({"schedule": "0 0 * * 9", "tz": "UTC"}, "schedule: 0 0 * * 9"),
        ({"schedule": "0 0 * * 1", "tz": "Mars/Base"}, "timezone: Mars/Base"),
        ({"desc": "bell \x07"}, "description: bell"),
    ],
)
def test_what_has_no_equivalent_is_reported(fields: dict[str, Any], text: str) -> None:
    """With its place and a reason, and the job stays."""
    fields = {**CHECK, **fields}

    report = reports(fields)[0]

    assert report.startswith(f"checks.json:3: Filesystem Backup: {text}")
    assert len(imported(fields).jobs) == 1


def test_keywords_in_bodies_are_rules() -> None:
    """A failure word must not be in the message; the only success word must be."""
    found = settings(
        filter_http_body=True,
        filter_default_fail=True,
        failure_kw='ERROR, a "bad" one,ERROR',
        success_kw="done",
    )

    assert found["rules"] == [
        'message !contains "ERROR"',
        'message !contains "a \\"bad\\" one"',
        'message contains "done"',
    ]


def test_keywords_without_a_filter_have_no_effect() -> None:
    fields = {**CHECK, "failure_kw": "ERROR", "subject": "OK"}

    assert "rules" not in settings(failure_kw="ERROR")
    assert reports(fields) == []


def test_an_old_filter_of_subjects_is_reported() -> None:
    """Before filter_subject, keywords alone were one."""
    fields = {key: one for key, one in CHECK.items() if not key.startswith("filter_")}

    (report,) = reports({**fields, "subject": "OK"})

    assert "subject: 'OK': AfterRun receives no e-mail" in report


def test_integrations_are_reported_once_for_all_checks() -> None:
    checks = [
        {**CHECK, "name": f"c{n}", "slug": f"c{n}", "uuid": "", "ping_url": "",
         "update_url": "", "channels": "1bdea468"}
        for n in range(7)
    ]  # fmt: skip

    (report,) = reports(*checks)

    assert "c0, c1, c2, c3, c4 and 2 more: channels: '1bdea468'" in report


def test_two_checks_with_one_uuid_are_told_apart() -> None:
    """Such as after joining two exports: the second one loses the address."""
    one, two = imported(CHECK, dict(CHECK, name="Twin", slug="twin")).jobs

    assert "ping_uuid" in one.settings
    assert "ping_uuid" not in two.settings


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([CHECK], indent=1),
        json.dumps(CHECK, indent=1),
        json.dumps({"checks": [CHECK]}),
    ],
    ids=["list", "check", "one line"],
)
def test_a_list_and_a_single_check_are_read(text: str) -> None:
    (job,) = imported(text=text).jobs

    assert job.name == "filesystem-backup"
    assert job.source.line in {0, 1, 2}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "checks.json:1: not JSON: expecting value at column 1; save the answer"),
        ('{"checks": [}', "checks.json:1: not JSON: expecting value at column 13"),
        ("[" * 100_000, "checks.json: not JSON that can be read"),
        ('{"error": "wrong api key"}', "checks.json: has no checks of Healthchecks"),
        ('{"checks": 3}', "checks.json: has no checks"),
        ('{"checks": [3]}', "checks.json: has no checks"),
        ("3", "checks.json: has no checks"),
        ("null", "checks.json: has no checks"),
    ],
)
def test_a_file_without_checks_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read([InputFile("checks.json", text)])

    assert str(caught.value).startswith(problem)


def test_no_checks_are_no_jobs() -> None:
    assert imported() == Imported()


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
_SPAN = st.integers(-5, 10**10) | st.floats(allow_nan=False) | _ANY
_SOME = st.sampled_from(
    ["", "a", "a b", "a,b", "0 0 * * *", "Mon 12:00\nTue 13:00", "UTC"]
)
CHECKS: Final = st.fixed_dictionaries(
    {"name": st.text(max_size=12) | _ANY},
    optional={
        **dict.fromkeys(("timeout", "grace", "n_pings"), _SPAN),
        **{
            key: _SOME | st.text(max_size=12) | _ANY
            for key in (
                *("slug", "tags", "desc", "schedule", "tz", "channels", "methods"),
                *("success_kw", "failure_kw", "start_kw", "subject", "status"),
            )
        },
        **dict.fromkeys(
            ("filter_http_body", "filter_default_fail", "manual_resume"),
            st.booleans() | _ANY,
        ),
        "uuid": st.uuids().map(str) | st.sampled_from([UUID, UUID.upper()]) | _ANY,
    },
)


@given(st.lists(CHECKS, max_size=4))
def test_any_checks_become_a_valid_configuration(checks: list[dict[str, Any]]) -> None:
    """One job each, whatever is in their fields, and the same ones each time."""
    text = json.dumps({"checks": checks})
    result = imported(text=text)

    valid = validated(result)

    assert valid == result
    assert len(result.jobs) == len({job.name for job in result.jobs}) == len(checks)
    assert parse(render(result)).jobs.keys() == {job.name for job in result.jobs}
    assert imported(text=text) == result
