"""Pushes, as Pushgateway takes them."""

from __future__ import annotations

import contextlib
import gzip
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.core.model import Job, Ping
from afterrun_exporter.core.outcome_metrics import PushSettings
from afterrun_exporter.core.push_outcomes import DELETED
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.dialects.pushgateway.pushes import group_of, job_of
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.push_bodies import ping_of, read_text
from tests.services import job_config

NOW = at("21 12:00")


def read(body: str | bytes, **group: str) -> Ping:
    text = body.encode() if isinstance(body, str) else body
    return ping_of("etl", {"job": "etl", **group}, read_text(text), NOW, b"", 50)[0]


@pytest.mark.parametrize(
    ("path", "job"),
    [
        ("job/etl", "etl"),
        ("job/etl/", "etl"),
        ("job/etl/instance/", "etl"),
        ("job/etl/instance@base64/=", "etl"),
        ("job/etl/instance/10.0.0.1", "etl:10.0.0.1"),
        ("job/etl/region/eu/az/b", "etl:b:eu"),
        ("job/nightly%20etl", "nightly-etl"),
        ("job@base64/bmlnaHRseSBldGw=", "nightly-etl"),
        ("job@base64/bmlnaHRseSBldGw", "nightly-etl"),
        ("job@base64/bmlnaHRseSBldGw=/e@base64/=/uni/%C3%A9", "nightly-etl:e-4ba76b8c"),
        ("job/etl/path@base64/L3Zhci90bXA=", "etl:-var-tmp"),
        ("job/etl/path/%2Fvar%2Ftmp", "etl:-var-tmp"),
    ],
)
def test_a_path_names_a_job(path: str, job: str) -> None:
    assert job_of(group_of(path)) == job


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("job/", "job name is required"),
        ("job@base64/=", "job name is required"),
        ("job/etl/region", "odd number of components"),
        ("job/etl/__r/eu", "improper label name '__r'"),
        ("job/etl/a-b/eu", "improper label name 'a-b'"),
        ("job/etl//eu", "improper label name ''"),
        ("job/etl/a@base64/%FF", "invalid base64 encoding for label a="),
        ("job/etl/a@base64/A", "invalid base64 encoding for label a='A'"),
    ],
)
def test_a_path_that_is_none_is_refused(path: str, message: str) -> None:
    with pytest.raises(PingError, match=message):
        job_of(group_of(path))


LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,9}", fullmatch=True), st.text(), max_size=4
)


@given(st.text(min_size=1), LABELS)
def test_every_group_is_read_as_it_was_written(
    job: str, labels: dict[str, str]
) -> None:
    group = {"job": job, **{k: v for k, v in labels.items() if k != "job"}}
    with contextlib.suppress(UnicodeEncodeError):
        path = "/".join(part for k, v in group.items() for part in (k, quote(v, "")))
        assert group_of(path) == group


@given(st.text())
def test_a_path_is_read_or_refused(path: str) -> None:
    with contextlib.suppress(PingError):
        job_of(group_of(path))


BODY = """\
# HELP rows_processed Rows.
# TYPE rows_processed gauge
rows_processed 120
# TYPE errors_total counter
errors_total 3
errors_created 1.7e9
untyped_thing 7
# TYPE retries counter
retries 2
size{table="a",kind="b\\"c"} 5
in_group{region="eu"} 6
process_cpu_seconds_total 1
process_rows 8
python_info{version="3"} 1
# TYPE latency histogram
latency_bucket{le="1"} 1
latency_bucket{le="+Inf"} 2
latency_sum 3
latency_count 2
broken NaN
"""


def test_what_is_pushed_are_metrics_of_the_run() -> None:
    ping = read(BODY, region="eu")

    assert ping.metrics == {
        "rows_processed": 120,
        "errors_total": 3,
        "untyped_thing": 7,
        "retries": 2,
        'size{kind="b\\"c",table="a"}': 5,
        "in_group": 6,
        "process_rows": 8,
        "latency_sum": 3,
        "latency_count": 2,
    }
    assert "'broken' is nan, not a finite number" in ping.warnings[0]


@pytest.mark.parametrize(
    "name",
    ["job_last_success_unixtime", "last_success_timestamp", "a_last_success_time"],
)
@pytest.mark.parametrize("unit", [1, 1000])
def test_a_time_of_success_dates_the_run(name: str, unit: int) -> None:
    assert read(f"{name} {(NOW - 60) * unit}\n").ended_at == NOW - 60


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "+Inf", "1e300"])
def test_what_is_no_time_dates_nothing(value: str) -> None:
    assert read(f"last_success_timestamp {value}\n").ended_at is None


def test_a_duration_is_that_of_the_run() -> None:
    assert read("job_duration_seconds 12.5\n").duration == 12.5
    assert read("query_duration_seconds 12.5\n").duration is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("rows 1", "text format parsing error in line 1: unexpected end"),
        ("a 1\nrows", "text format parsing error in line 2: unexpected end"),
        ("rows one\n", "text format parsing error"),
        ("rows\n", "text format parsing error"),
        ("rows 1 1700000000000\n", "must not have timestamps"),
    ],
)
def test_a_body_that_is_none_is_refused(body: str, message: str) -> None:
    with pytest.raises(PingError, match=message):
        read(body)


LINES = st.lists(
    st.text()
    | st.from_regex(r"[a-z_]{1,9}(\{[a-z]{0,5}=?\"?[^\"]{0,5}\"?\})? [0-9.eNa+-]{1,9}")
)


@given(st.binary() | LINES.map("\n".join).map(lambda text: f"{text}\n".encode()))
def test_a_body_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(PingError):
        for name in read(body).metrics:
            name.encode()


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_push_is_a_run(client: Client, store: MemoryStore, method: str) -> None:
    response = await client.request(
        method,
        "/metrics/job/etl/instance/",
        data=gzip.compress(b"rows 5\n"),
        headers={"Content-Encoding": "gzip"},
    )

    assert (response.status, await response.text()) == (200, "")
    (run,) = await store.runs("etl", 9)
    assert (run.outcome, dict(run.metrics)) == ("ok", {"rows": 5})


async def test_a_push_of_nothing_is_a_run_without_metrics(
    client: Client, store: MemoryStore
) -> None:
    assert (await client.put("/metrics/job/etl")).status == 200

    (run,) = await store.runs("etl", 9)
    assert run.outcome == "ok"


async def test_a_deletion_forgets_nothing(client: Client, store: MemoryStore) -> None:
    await client.put("/metrics/job/etl", data=b"rows 5\n")

    assert (await client.delete("/metrics/job/etl")).status == 202
    assert (await client.delete("/metrics/job/nobody")).status == 202
    assert len(await store.runs("etl", 9)) == 1


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_each_group_has_its_own_success_metric(
    client: Client, store: MemoryStore, clock: ManualClock, method: str
) -> None:
    for path, body in (
        ("job/etl", "a_last_success 1795266000\n"),
        ("job/etl/region/eu", "rows 1\n"),
        ("job/etl/region/us", "rows 1\na_last_success 1795266000\n"),
        ("job/etl", "rows 2\n"),
        ("job/etl/region/eu", "rows 2\n"),
        ("job/etl/region/us", "a_last_success 1795269600\n"),
    ):
        clock.show(clock.now() + 60)
        response = await client.request(method, f"/metrics/{path}", data=body)
        assert response.status == 200

    outcomes = {
        job: [run.outcome for run in reversed(await store.runs(job, 9))]
        for job in ("etl", "etl:eu", "etl:us")
    }
    assert outcomes == {
        "etl": ["ok", "fail"],
        "etl:eu": ["ok", "ok"],
        "etl:us": ["ok", "ok"],
    }


#: Names of the default collectors of client libraries.
OF_THE_PROCESS = """\
process_cpu_user_seconds_total 1
process_resident_memory_bytes 1
process_network_receive_bytes_total 1
nodejs_eventloop_lag_p99_seconds 1
nodejs_heap_space_size_used_bytes{space="new"} 1
nodejs_version_info{version="v20"} 1
go_gc_duration_seconds_sum 1
go_memstats_alloc_bytes 1
go_goroutines 1
go_sched_gomaxprocs_threads 1
python_gc_objects_collected_total{generation="0"} 1
jvm_memory_used_bytes{area="heap"} 1
promhttp_metric_handler_requests_total{code="200"} 1
"""

#: Names of a job that are like those.
OF_THE_JOB = """\
process_rows 1
process_duration_seconds 1
go_live_total 1
nodejs_migration_rows 1
python_files 1
jvm_restarts 1
"""


async def test_metrics_of_the_process_are_counted_and_not_kept(
    client: Client, store: MemoryStore, service: Service
) -> None:
    body = OF_THE_PROCESS + OF_THE_JOB
    assert (await client.put("/metrics/job/etl", data=body)).status == 200

    (run,) = await store.runs("etl", 9)
    kept = {line.split(" ", maxsplit=1)[0] for line in OF_THE_JOB.splitlines()}
    assert run.metrics.keys() == kept
    assert service.dropped == {"process": len(OF_THE_PROCESS.splitlines())}


def test_metrics_of_the_process_are_kept_if_a_rule_names_them() -> None:
    rule = parse_rule("process_resident_memory_bytes < 1GiB")
    job = Job(name="etl", rules=(rule,))
    exposed = read_text(OF_THE_PROCESS.encode())

    ping, report_metrics = ping_of("etl", {"job": "etl"}, exposed, NOW, b"", 50, job)

    assert ping.metrics == {"process_resident_memory_bytes": 1}
    assert not report_metrics.warnings


def test_metrics_that_rules_name_are_not_left_out_for_others() -> None:
    job = Job(name="etl", rules=(parse_rule("last > 0"),))
    body = "".join(f"m{number} 1\n" for number in range(60)) + "last 1\n"

    ping, _ = ping_of(
        "etl", {"job": "etl"}, read_text(body.encode()), NOW, b"", 50, job
    )

    assert ping.metrics["last"] == 1


async def test_a_deletion_ends_a_run_where_pushes_are_progress(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    crawler = Job(name="crawler", push=PushSettings(progress=True))
    service = Service(store, clock, job_config(crawler))
    await service.start()
    client = await aiohttp_client(app_of(service, clock))

    for rows in (1, 2):
        await client.put("/metrics/job/crawler", data=f"rows {rows}\n".encode())
        assert await store.runs("crawler", 9) == []
    for _ in range(2):
        assert (await client.delete("/metrics/job/crawler")).status == 202

    (run,) = await store.runs("crawler", 9)
    assert (run.outcome, dict(run.metrics)) == ("fail", {"rows": 2})
    assert run.message == DELETED


async def test_a_push_that_cannot_be_read_is_recorded(
    client: Client, store: MemoryStore, service: Service
) -> None:
    response = await client.put("/metrics/job/backup", data=b"rows \n")

    assert response.status == 400
    assert "text format parsing error" in await response.text()
    (run,) = await store.runs("backup", 9)
    assert run.outcome == "invalid"
    assert service.pings["pushgateway", "accepted"] == 1


@pytest.mark.parametrize(
    ("headers", "advice"),
    [
        (
            {
                "Content-Type": "application/vnd.google.protobuf; encoding=text; "
                "proto=io.prometheus.client.MetricFamily"
            },
            "or the text format, Content-Type: text/plain; version=0.0.4",
        ),
        ({"Content-Encoding": "snappy"}, "'snappy' is not supported: push gzip"),
    ],
)
async def test_another_format_is_refused_and_breaks_no_job(
    client: Client,
    store: MemoryStore,
    service: Service,
    headers: dict[str, str],
    advice: str,
) -> None:
    """What is wrong is how the client is set up, not what the job has done."""
    response = await client.put("/metrics/job/backup", data=b"\x0a", headers=headers)

    assert response.status == 415
    assert advice in await response.text()
    assert await store.runs("backup", 9) == []
    assert service.pings["pushgateway", "rejected"] == 1


async def test_a_client_may_ask_whether_we_are_there(client: Client) -> None:
    answer = await (await client.get("/api/v1/status")).json()

    assert answer["status"] == "success"
    assert answer["data"]["build_information"]["version"]
    assert answer["data"]["start_time"] == "2026-11-21T12:00:00Z"


async def test_the_scrape_is_where_it_was(client: Client) -> None:
    response = await client.get("/metrics")

    assert response.status == 200
    assert (await client.get("/metrics/job/etl")).status == 405
    assert (await client.put("/metrics/instance/x")).status == 404
