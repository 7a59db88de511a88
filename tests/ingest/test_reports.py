from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Kind, Outcome, Ping
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest.json_text import read_json
from afterrun_exporter.ingest.report_metrics import ReportMetrics
from afterrun_exporter.ingest.reports import (
    MAX_MESSAGE,
    check_name,
    ping_of,
)
from afterrun_exporter.ingest.vocabulary import STATUSES

NOW = 1_800_000_000.0


def read(fields: object, key: str | None = None) -> tuple[Ping, ReportMetrics]:
    return ping_of("backup", fields, at=NOW, fingerprint=b"f", metrics_limit=5, key=key)


def test_every_field_is_optional() -> None:
    ping, _ = read({})

    assert ping == Ping(
        job="backup", kind=Kind.FINISH, at=NOW, outcome=Outcome.OK, fingerprint=b"f"
    )


def test_a_full_report_is_read_whole() -> None:
    ping, _ = read(
        {
            "status": "ok",
            "duration_ms": 5000,
            "metrics": {"rows_processed": 120, "file_size_bytes": 48211.5},
            "run_id": "2026-11-22T02:00",
            "attempt": 1,
            "max_attempts": 3,
            "started_at": "2026-11-22T02:00:00Z",
            "ended_at": "2026-11-22T03:00:05.5+01:00",
            "message": "all good",
            "exit_code": 0,
            "metadata": {"git_sha": "abc123", "host": "db1"},
        }
    )

    assert ping.warnings == ()
    assert ping.duration == 5
    assert ping.metrics == {"rows_processed": 120, "file_size_bytes": 48211.5}
    assert ping.run_id == "2026-11-22T02:00"
    assert (ping.attempt, ping.max_attempts) == (1, 3)
    assert ping.ended_at is not None
    assert ping.started_at is not None
    assert ping.ended_at - ping.started_at == 5.5
    assert json.loads(ping.metadata) == {"git_sha": "abc123", "host": "db1"}


@pytest.mark.parametrize("form", [str.lower, str.upper, str.title])
def test_a_status_is_read_in_the_words_people_use(form: Any) -> None:
    pings = {word: read({"status": form(word)})[0] for word in STATUSES}

    assert {word: (p.kind, p.outcome) for word, p in pings.items()} == STATUSES


def test_an_unknown_status_is_refused_because_guessing_would_be_worse() -> None:
    with pytest.raises(PingError) as error:
        read({"status": "sucess"})

    assert str(error.value) == (
        "status: unknown status 'sucess'; did you mean 'success'?"
    )


@pytest.mark.parametrize("status", [1, 2.5, ["ok"], {}, ""])
def test_a_status_that_is_no_word_is_refused(status: object) -> None:
    with pytest.raises(PingError, match="unknown status"):
        read({"status": status})


def test_an_exit_status_tells_failure_where_no_word_does() -> None:
    assert read({"exit_code": 1})[0].outcome is Outcome.FAIL
    assert read({"exit_code": 0})[0].outcome is Outcome.OK


def test_an_exit_status_beside_a_word_counts_where_it_is_the_worse() -> None:
    ping, _ = read({"exit_code": 3, "status": "ok"})

    assert (ping.outcome, ping.exit_code) == (Outcome.FAIL, 3)
    assert ping.warnings == ("status: 'ok' contradicts exit_code: 3: the worse counts",)
    assert read({"exit_code": 3, "status": "partial"})[0].outcome is Outcome.PARTIAL
    assert read({"exit_code": 0, "status": "fail"})[0].outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("value", "read_as"), [("3", 3), (" 3\n", 3), ("-1", -1), (1.0, 1), ("0", 0)]
)
def test_an_exit_status_is_read_as_shells_and_scripts_send_it(
    value: object, read_as: int
) -> None:
    """``"exit_code": "$?"`` is a text."""
    ping, _ = read({"exit_code": value})

    assert ping.exit_code == read_as
    assert ping.outcome is (Outcome.FAIL if read_as else Outcome.OK)
    assert ping.warnings == ()


@pytest.mark.parametrize("value", ["", "SIGKILL", "1e3", 1.5, True, 2**70])
def test_a_failure_is_not_a_success_because_its_exit_status_is_no_number(
    value: object,
) -> None:
    with pytest.raises(PingError) as error:
        read({"exit_code": value})

    assert str(error.value) == (
        f"exit_code: {value!r} is not an exit status; send a number"
    )


def test_an_exit_status_that_is_no_number_does_not_matter_beside_a_status() -> None:
    ping, _ = read({"exit_code": "SIGKILL", "status": "fail"})

    assert ping.outcome is Outcome.FAIL
    assert ping.warnings == (
        "exit_code is left out: 'SIGKILL' is not an exit status; send a number",
    )


@pytest.mark.parametrize("name", ["stauts", "STAUTS", "staus", "statsu"])
def test_a_failure_is_not_a_success_because_status_is_misspelt(name: str) -> None:
    with pytest.raises(PingError) as error:
        read({name: "fail", "metrics": {"rows": 1}})

    assert str(error.value) == f"{name}: unknown key; did you mean 'status'?"


@pytest.mark.parametrize("name", ["exit_coed", "exitcoode", "exti_code"])
def test_a_failure_is_not_a_success_because_exit_code_is_misspelt(name: str) -> None:
    with pytest.raises(PingError) as error:
        read({name: 1})

    assert str(error.value) == f"{name}: unknown key; did you mean 'exit_code'?"


def test_a_field_that_looks_like_status_does_not_matter_beside_it() -> None:
    assert read({"stats": "CA", "status": "ok"})[0].warnings == (
        "stats: unknown key; did you mean 'status'?",
    )
    (warning,) = read({"state": "CA", "status": "ok"})[0].warnings
    assert warning.startswith("state is left out: unknown status 'CA'; use one of ok,")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("duration_ms", -5, "-5.0 is not a duration; it must be 0 or more"),
        ("duration_ms", "5000", "expected a number"),
        ("attempt", 0, "0 is too small: at least 1"),
        ("attempt", "1", "expected a whole number"),
        ("attempt", 2**64, "18446744073709551616 is too large: at most"),
        ("started_at", "yesterday", "'yesterday' is not a time"),
        ("started_at", -1, "-1 is not a time in Unix seconds"),
        ("started_at", 1.8e12, "1800000000000.0 is not a time in Unix"),
        ("ended_at", True, "expected a time such as 2026-11-22T02:00:00Z"),
        ("message", 5, "expected text, not 5: put it in quotes"),
        ("metadata", "abc", "expected keys and values, not 'abc'"),
        ("metrics", [1], "expected keys and values, not a list"),
        ("run_id", "x" * 257, f"'{'x' * 50}...' is too long: at most 256 characters"),
    ],
)
def test_a_field_that_cannot_be_used_does_not_cost_the_report(
    field: str, value: object, reason: str
) -> None:
    ping, _ = read({field: value, "metrics": {"rows": 1}} | {field: value})

    (told,) = ping.warnings
    assert told.startswith(f"{field} is left out: {reason}")
    assert ping.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        ("120", "the text '120'"),
        (True, "True"),
        ([1], "[1]"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (10**400, "1000000000000000000000000000000000000000"),
    ],
)
def test_a_metric_that_is_no_finite_number_counts_as_missing(
    value: object, shown: str
) -> None:
    ping, report_metrics = read({"metrics": {"rows": value, "size": 5}})

    assert ping.metrics == {"size": 5}
    assert ping.warnings == (
        f"metric 'rows' is {shown}, not a finite number: it counts as missing",
    )
    assert report_metrics.dropped == {"not_a_number": 1}


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "\ud800", "duration"])
def test_a_metric_whose_name_cannot_be_used_is_left_out(name: str) -> None:
    ping, report_metrics = read({"metrics": {name: 1, "rows": 2}})

    assert ping.metrics == {"rows": 2}
    assert report_metrics.dropped == {"name": 1}


def test_metrics_over_the_limit_are_left_out() -> None:
    ping, report_metrics = read(
        {"metrics": {f"m{number}": number for number in range(8)}}
    )

    assert len(ping.metrics) == 5
    assert ping.warnings == ("3 metrics are over limits.metrics_per_job (5): left out",)
    assert report_metrics.dropped == {"limit": 3}


def test_a_misspelt_field_is_told_to_the_job() -> None:
    ping, _ = read({"metric": {"rows": 0}, "rows_processed": 5})

    assert ping.warnings == (
        "metric: unknown key; did you mean 'metrics'?",
        "rows_processed: unknown key: report numbers under 'metrics'",
    )


def test_the_idempotency_key_names_a_run_that_has_no_id() -> None:
    assert read({}, key="k")[0].run_id == "k"
    assert read({"run_id": "a"}, key="k")[0].run_id == "a"
    assert read({"run_id": ""})[0].run_id is None
    assert read({"run_id": 17})[0].run_id == "17"


def test_the_idempotency_key_is_no_longer_than_a_run_id_may_be() -> None:
    ping, _ = read({}, key="k" * 257)

    assert read({}, key="k" * 256)[0].run_id == "k" * 256
    assert ping.run_id is None
    assert ping.warnings == (
        f"Idempotency-Key is left out: '{'k' * 50}...' is too long: at most 256 characters",
    )


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_metadata_that_is_no_json_is_not_stored(value: str) -> None:
    ping, _ = read(read_json(f'{{"metadata": {{"a": [{value}]}}}}'.encode()))

    assert ping.metadata == ""
    (told,) = ping.warnings
    assert told.startswith("metadata is left out: it contains NaN or Infinity")


def test_metrics_of_a_start_are_not_lost_without_a_word() -> None:
    ping, _ = read({"status": "start", "metrics": {"rows": 1}})

    assert ping.warnings == (
        "metrics of a start are ignored: report them with progress or at the end",
    )
    assert read({"status": "start", "metrics": {}})[0].warnings == ()


def test_a_long_message_keeps_its_end() -> None:
    ping, _ = read({"message": "x" * MAX_MESSAGE + "the error"})

    assert len(ping.message) == MAX_MESSAGE
    assert ping.message.endswith("the error")


def test_half_a_character_does_not_reach_the_database() -> None:
    ping, _ = read(
        {"message": "\ud800", "run_id": "\ud800", "metadata": {"a": "\ud800"}}
    )

    for text in (ping.message, ping.run_id or "", ping.metadata):
        text.encode()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"a": "\ud800", "\udfff": 1}, {"a": "?", "?": 1}),
        ({"a": "\U0001f600 \\ud800"}, {"a": "\U0001f600 \\ud800"}),
    ],
)
def test_nor_what_is_made_of_metadata(
    sent: dict[str, object], kept: dict[str, object]
) -> None:
    """Who reads it gets it whole: `concurrency.by`, the API, a terminal."""
    ping, _ = read({"metadata": sent})

    assert json.loads(ping.metadata) == kept


@pytest.mark.parametrize("fields", [[], "ok", 5, None, True])
def test_what_is_no_object_is_no_report(fields: object) -> None:
    with pytest.raises(PingError, match="a report is a JSON object"):
        read(fields)


def test_an_empty_shell_variable_is_recognised() -> None:
    with pytest.raises(PingError) as error:
        read_json(b'{"metrics": {"rows_processed": ,"size": 5}}')

    assert str(error.value) == (
        "the report is not JSON: expecting value at line 1 column 32, near "
        '\'cs": {"rows_processed": ,"size": 5}}\'; is a variable of the script empty?'
    )


@pytest.mark.parametrize("body", [b"{", b"ok", b"[" * 40_000, b"\xff\xfe"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(PingError, match="is not JSON"):
        read_json(body)


def test_a_text_that_is_not_utf8_does_not_cost_the_report() -> None:
    ping, _ = read(read_json(b'{"message": "caf\xe9"}'))

    assert ping.message == "caf\ufffd"


@pytest.mark.parametrize(
    "name", ["a", "A1", "nightly-backup", "db:dump.2_x", "a" * 128]
)
def test_a_job_may_be_called_so(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a/b", "a" * 129, "a\n"])
def test_a_job_may_not_be_called_so(name: str) -> None:
    with pytest.raises(PingError, match="cannot be the name of a job"):
        check_name(name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = [
    "status", "duration_ms", "duration_seconds", "metrics", "run_id", "attempt",
    "max_attempts", "started_at", "ended_at", "message", "exit_code", "metadata", "x",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(fields), json_values) | json_values)
def test_no_report_does_more_than_being_refused(report: object) -> None:
    try:
        ping, _ = read(report)
    except PingError:
        return
    assert ping.job == "backup"
    assert ping.duration is None or ping.duration >= 0


@given(st.binary())
def test_no_body_does_more_than_being_refused(body: bytes) -> None:
    try:
        read_json(body)
    except PingError:
        return
