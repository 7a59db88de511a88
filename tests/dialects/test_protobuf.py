"""The delimited protobuf format, against the text format and Google's protobuf."""

from __future__ import annotations

import contextlib
import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.core.job_config import plain_job
from afterrun_exporter.core.model import Ping
from afterrun_exporter.dialects.pushgateway.protobuf import (
    LARGEST_METRIC,
    protobuf_steps,
)
from afterrun_exporter.dialects.pushgateway.text_format import (
    Exposed,
)
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError
from tests.copies import replace
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.metricsproto import TYPES, MetricFamily, delimited, varint
from tests.push_bodies import families_of, ping_of, read_text
from tests.services import job_config

NOW: Final = at("21 12:00")
PUSHES: Final = Path(__file__).parent / "pushes"
SIMPLE: Final = frozenset({"counter", "gauge", "untyped"})
HEADERS: Final = {
    "Content-Type": "application/vnd.google.protobuf; "
    "proto=io.prometheus.client.MetricFamily; encoding=delimited"
}
GROUP: Final = {"job": "etl", "region": "eu"}


def read(body: bytes) -> Exposed:
    exposed = Exposed()
    for _ in protobuf_steps(body, exposed):
        pass
    return exposed


def ping(exposed: Exposed) -> Ping:
    return ping_of("etl", GROUP, exposed, NOW, b"", 50)[0]


def gauge(name: str, value: float, **labels: str) -> Any:
    family = MetricFamily(name=name, type=1)
    metric = family.metric.add()
    metric.gauge.value = value
    for label, text in labels.items():
        metric.label.add(name=label, value=text)
    return family


# --- The same families as text, written plainly from the messages -----------------


def text_of(families: list[Any]) -> str:
    return "".join(line for family in families for line in _lines(family))


def _lines(family: Any) -> list[str]:
    name, kind = family.name, TYPES[family.type]
    lines = [f"# TYPE {name} {kind}\n"]
    if family.help:
        escaped = family.help.replace("\\", r"\\").replace("\n", r"\n")
        lines.insert(0, f"# HELP {name} {escaped}\n")
    for metric in family.metric:
        labels = {one.name: one.value for one in metric.label}
        if kind in {"gauge", "counter", "untyped"}:
            lines.append(_line(name, labels, getattr(metric, kind).value))
            continue
        whole = getattr(metric, kind)
        if kind == "summary":
            for one in whole.quantile:
                rank = {**labels, "quantile": repr(one.quantile)}
                lines.append(_line(name, rank, one.value))
        else:
            for one in whole.bucket:
                bound = {**labels, "le": repr(one.upper_bound).replace("inf", "+Inf")}
                lines.append(_line(f"{name}_bucket", bound, one.cumulative_count))
            if not any(math.isinf(one.upper_bound) for one in whole.bucket):
                bound = {**labels, "le": "+Inf"}
                lines.append(_line(f"{name}_bucket", bound, whole.sample_count))
        lines.append(_line(f"{name}_sum", labels, whole.sample_sum))
        lines.append(_line(f"{name}_count", labels, whole.sample_count))
    return lines


def _line(name: str, labels: dict[str, str], value: float) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

    pairs = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {float(value)!r}\n"


NUMBERS = st.floats() | st.sampled_from([0.0, 1.0, 1795266000.0])
COUNTS = st.integers(0, 2**53)
NAMES = st.sampled_from(
    [
        "rows",
        "a_last_success_unixtime",
        "etl_success",
        "etl_exit_code",
        "etl_duration_seconds",
        "query_duration_seconds",
        "go_goroutines",
        "process_start_time_seconds",
        "files_created",
        "x_total",
    ]
)
LABELS = st.dictionaries(
    st.sampled_from(["table", "step", "state", "region"]),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5
    ),
    max_size=2,
)
#: Numbers apart, as a family has no series twice.
BOUNDS = st.lists(st.sampled_from([0.1, 1.0, 5.0, 1e6, math.inf]), unique=True)


@st.composite
def families(draw: st.DrawFn) -> list[Any]:
    made = []
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        kind = draw(st.integers(0, 4))
        # A text without blanks at its ends, which the text format does not keep.
        help_ = draw(st.sampled_from(["", "Rows.", 'a\\b\nc "d"']))
        family = MetricFamily(name=name, help=help_, type=kind)
        for labels in draw(
            st.lists(LABELS, max_size=3, unique_by=lambda d: str(sorted(d.items())))
        ):
            metric = family.metric.add()
            for label, text in labels.items():
                metric.label.add(name=label, value=text)
            holder = getattr(metric, TYPES[kind])
            if kind in {0, 1, 3}:
                holder.value = draw(NUMBERS)
                continue
            holder.sample_count, holder.sample_sum = draw(COUNTS), draw(NUMBERS)
            for bound in draw(BOUNDS):
                if kind == 2:
                    holder.quantile.add(quantile=min(bound, 1e6), value=draw(NUMBERS))
                else:
                    holder.bucket.add(upper_bound=bound, cumulative_count=draw(COUNTS))
        made.append(family)
    return made


def outcome(exposed: Exposed) -> Any:
    """Return what a push makes of it: `repr`, as NaN is equal to nothing."""
    try:
        groups = families_of(exposed, GROUP)
    except PingError as error:
        groups = {"refused": error}  # type: ignore[dict-item]
    return repr((ping(exposed), groups))


@given(families())
def test_both_formats_give_the_same_ping_and_the_same_groups(made: list[Any]) -> None:
    assert outcome(read(delimited(made))) == outcome(read_text(text_of(made).encode()))


@given(families(), st.data())
def test_a_damaged_body_is_refused_or_read_as_google_reads_it(
    made: list[Any], data: st.DataObject
) -> None:
    body = bytearray(delimited(made)) or bytearray(b"\0")
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    # Google also refuses damage in parts that are skipped here.
    with contextlib.suppress(PingError, DecodeError):
        exposed = read(bytes(body))
        found = list(google(bytes(body)))
        assert {name(one) for one in found} == exposed.types.keys()
        assert repr(
            [
                (name(one), getattr(metric, TYPES[one.type]).value)
                for one in found
                for metric in one.metric
                if TYPES[one.type] in SIMPLE
            ]
        ) == repr(
            [
                (sample.name, sample.value)
                for sample in exposed.samples
                if exposed.types.get(sample.name) in SIMPLE
            ]
        )


def test_damage_in_a_part_that_is_skipped_does_not_matter() -> None:
    family = MetricFamily(name="rows", type=0)
    family.metric.add().counter.value = 1
    metric = family.metric[0].SerializeToString() + b"\x12\x0500000"
    body = b"\x0a\x04rows\x18\x00\x22" + varint(len(metric)) + metric
    whole = varint(len(body)) + body

    with pytest.raises(DecodeError):
        list(google(whole))

    assert [sample.value for sample in read(whole).samples] == [1]


def google(body: bytes) -> Iterator[Any]:
    """Yield the messages that Google's protobuf finds."""
    while body:
        size = used = 0
        while not used or body[used - 1] > 0x7F:
            size |= (body[used] & 0x7F) << (7 * used)
            used += 1
        family = MetricFamily.FromString(body[used : used + size])
        family.type = family.type if 0 <= family.type < len(TYPES) else 0
        yield family
        body = body[used + size :]


def name(family: Any) -> str:
    """Return the name of *family*; what is no UTF-8 is bytes to Google."""
    found = family.name
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(PingError):
        ping(read(body))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x0a", "a message has 10 bytes, but only 0 remain"),
        (b"\xff", "the message ends within a number"),
        (b"\xff" * 10 + b"\1", "longer than 10 bytes"),
        (b"\0", "no name"),
        (delimited([gauge("x", 1)])[:-1], "bytes, but only"),
        (varint(3) + b"\x0a\x05x", "after the end of its message"),
        (varint(2) + b"\x0f\x00", "wire type 7"),
        (varint(1) + b"\x0c", "wire type 4"),
        (varint(1) + b"\x0b", "a group has no end"),
        (varint(100) + b"\x0b" * 100, "nested too deep"),
        (varint(2) + b"\x00\x01", "field number 0"),
        (delimited([MetricFamily(name="x" * 2000)]), "2000 characters, at most 1024"),
        (
            delimited([gauge("x", 1), MetricFamily(name="x", type=0)]),
            "two types: gauge and counter",
        ),
    ],
)
def test_a_body_that_is_none_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(PingError, match=f"protobuf parsing error: .*{message}"):
        read(body)


def test_a_metric_says_its_value_in_the_field_of_its_type() -> None:
    family = MetricFamily(name="x", type=1)
    family.metric.add().counter.value = 1

    with pytest.raises(PingError, match="a metric of x has no value of its type"):
        read(delimited([family]))


def test_a_timestamp_is_refused_even_if_it_is_0() -> None:
    family = gauge("x", 1)
    family.metric[0].timestamp_ms = 0

    with pytest.raises(PingError, match="must not have timestamps"):
        ping(read(delimited([family])))


def test_a_label_that_is_there_twice_is_refused() -> None:
    family = gauge("x", 1, a="1")
    family.metric[0].label.add(name="a", value="2")

    with pytest.raises(PingError, match="x has the label 'a' twice"):
        read(delimited([family]))


@pytest.mark.parametrize(
    "body",
    [
        # Metrics, labels, families and unknown fields of the least size.
        varint(2**20) + b"\x22\x00" * 2**19,
        varint(2**20 + 3) + b"\x0a\x01x" + b"\x22\x02\x12\x00" * 2**18,
        b"\x03\x0a\x01x" * 2**18,
        varint(2**20 + 3) + b"\x0a\x01x" + b"\x78\x00" * 2**19,
        varint(2**20 + 3) + b"\x0a\x01x" + b"\x0b\x0c" * 2**19,
    ],
)
def test_a_large_body_is_read_in_many_steps(body: bytes) -> None:
    exposed = Exposed()
    steps = protobuf_steps(body, exposed)

    with contextlib.suppress(PingError):
        largest = before = 0
        for count, _ in enumerate(steps):
            largest = max(largest, len(exposed.samples) - before)
            before = len(exposed.samples)
            if count > 2000:
                break
        assert largest <= 1


def test_the_samples_of_a_push_are_bounded() -> None:
    tiny = varint(2**20 + 5) + b"\x0a\x01x\x18\x01" + b"\x22\x02\x12\x00" * 2**18

    with pytest.raises(PingError, match="more than 20000 samples: push fewer"):
        read(tiny)
    with pytest.raises(PingError, match="more than 20000 samples: push fewer"):
        read_text(b"m 1\n" * 20_001)
    assert len(read_text(b"m 1\n" * 20_000).samples) == 20_000


def test_a_metric_of_one_step_is_bounded() -> None:
    family = gauge("x", 1, a="y" * LARGEST_METRIC)

    with pytest.raises(PingError, match=r"a metric of x has 32\d\d\d bytes"):
        read(delimited([family]))


def test_a_text_of_many_lines_is_read_in_many_steps() -> None:
    with pytest.raises(PingError, match="line 201: 16392 characters, at most 16384"):
        read_text(b"m 1\n" * 200 + b'm{a="' + b"x" * 16383 + b'"} 1\n'[:-1] + b"\n")


# --- Pushes of Go's client_golang, recorded: the example of its package push -------

OK: Final = (PUSHES / "db_backup_ok.pb").read_bytes()
FAILED: Final = (PUSHES / "db_backup_failed.pb").read_bytes()


@pytest.fixture
async def client(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> Client:
    job = replace(plain_job("db_backup"), exposes_pushes=True)
    service = Service(store, clock, job_config(job))
    await service.start()
    pushed = PushedMetrics(store, service, clock)
    await pushed.refresh()
    return await aiohttp_client(app_of(service, clock, pushed=pushed))


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_push_of_go_is_a_run_like_any_other(
    client: Client, store: MemoryStore, clock: ManualClock, *, compressed: bool
) -> None:
    path, headers = "/metrics/job/db_backup", dict(HEADERS)
    if compressed:
        headers["Content-Encoding"] = "gzip"
    for body in (OK, FAILED):
        sent = gzip.compress(body) if compressed else body
        response = await client.post(path, data=sent, headers=headers)
        assert (response.status, await response.text()) == (200, "")
        clock.show(clock.now() + 3600)

    failed, ok = await store.runs("db_backup", 9)
    assert (ok.outcome, failed.outcome) == ("ok", "fail")
    assert "db_backup_last_success_timestamp_seconds is missing" in failed.message
    assert ok.duration == pytest.approx(1.5)
    assert ok.metrics["db_backup_records_processed"] == 42
    assert not [name for name in ok.metrics if name.startswith(("go_", "process_"))]
    page = await (await client.get("/metrics/pushed")).text()
    assert 'go_goroutines{instance="",job="db_backup"}' in page
    assert (
        'step_seconds_bucket{instance="",job="db_backup",le="+Inf",step="dump"} 1'
        in page
    )
    assert "# TYPE size_bytes summary" in page
    # POST leaves what is not in the push.
    assert "db_backup_last_success_timestamp_seconds{" in page


async def test_a_malformed_push_is_an_invalid_run_of_a_known_job(
    client: Client, store: MemoryStore
) -> None:
    response = await client.post(
        "/metrics/job/db_backup", data=OK[:-9], headers=HEADERS
    )

    assert response.status == 400
    assert "protobuf parsing error" in await response.text()
    (run,) = await store.runs("db_backup", 9)
    assert run.outcome == "invalid"
    response = await client.post("/metrics/job/other", data=OK[:-9], headers=HEADERS)
    assert response.status == 400
    assert await store.runs("other", 9) == []


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.google.protobuf; encoding=text",
        "application/vnd.google.protobuf; encoding=compact-text",
        "application/vnd.google.protobuf",
        "application/vnd.google.protobuf; proto=other.Message; encoding=delimited",
        "application/x-protobuf; encoding=delimited",
    ],
)
async def test_another_protobuf_is_refused(client: Client, content_type: str) -> None:
    headers = {"Content-Type": content_type}

    response = await client.put("/metrics/job/etl", data=OK, headers=headers)

    assert response.status == 415
    assert "only delimited MetricFamily messages" in await response.text()


@pytest.mark.parametrize(
    "content_type",
    [
        HEADERS["Content-Type"]
        .replace("=delimited", '="delimited"')
        .replace("; ", ";"),
        "Application/Vnd.Google.Protobuf; encoding=delimited",
        HEADERS["Content-Type"] + "; escaping=underscores",
    ],
)
async def test_the_format_is_named_in_many_ways(
    client: Client, content_type: str
) -> None:
    headers = {"Content-Type": content_type}

    assert (
        await client.put("/metrics/job/etl", data=OK, headers=headers)
    ).status == 200
