"""``GET /metrics`` in OpenMetrics: which client gets it, and what is different."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families as text_families

from afterrun_exporter import conventions as names
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.families import FAMILIES
from afterrun_exporter.exposition.formats import TEXT, accepts_gzip, negotiate
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from tests.core.jobs import BACKUP, at
from tests.exposition.test_endpoint import SYNC, changes, play
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client
from tests.openmetrics import openmetrics_families
from tests.services import job_config

OLD = "application/openmetrics-text; version=0.0.1; charset=utf-8"
NEW = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: What Prometheus 2.42 and 3.5 send.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,"
    "application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)

ACCEPTED = (
    ("", TEXT),
    (",;q=,", TEXT),
    ("*/*", TEXT),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
    ("application/json", TEXT),
    ("text/plain", TEXT),
    ("text/plain;version=0.0.4", TEXT),
    ("text/plain;version=1.0.0", TEXT),
    (PROMETHEUS_2, NEW),
    (PROMETHEUS_3, f"{NEW}; escaping=allow-utf-8"),
    ("application/openmetrics-text", OLD),
    ("application/openmetrics-text; version=0.0.1", OLD),
    ('Application/OpenMetrics-Text ; Version="1.0.0"', NEW),
    ("application/openmetrics-text;version=2.0.0", TEXT),
    ("application/openmetrics-text;version=2.0.0,application/openmetrics-text;q=0.1", OLD),
    # What is first among equals; what is preferred otherwise.
    ("text/plain,application/openmetrics-text", TEXT),
    ("application/openmetrics-text,text/plain", OLD),
    ("text/plain;q=0.2,application/openmetrics-text;version=1.0.0;q=0.3", NEW),
    ("text/plain;q=0.4,application/openmetrics-text;version=1.0.0;q=0.3", TEXT),
    ("*/*,application/openmetrics-text;version=1.0.0", NEW),
    ("*/*;q=0.8,application/openmetrics-text;version=1.0.0;q=0.3", TEXT),
    ("application/openmetrics-text;version=1.0.0;q=0", TEXT),
    ("application/openmetrics-text;version=1.0.0;q=much", TEXT),
    ("application/openmetrics-text;version=1.0.0;q=nan", TEXT),
    ("text/plain;q=1,application/openmetrics-text;version=1.0.0;q=5", TEXT),
    # Protobuf is not there: the next one is.
    (
        "application/vnd.google.protobuf;encoding=delimited,"
        + PROMETHEUS_2,
        NEW,
    ),
    ("application/vnd.google.protobuf;encoding=delimited", TEXT),
    # The ways of escaping are repeated, if they are known.
    ("application/openmetrics-text;version=1.0.0;escaping=underscores", f"{NEW}; escaping=underscores"),
    ("application/openmetrics-text;version=1.0.0;escaping=dots", f"{NEW}; escaping=dots"),
    ("application/openmetrics-text;version=1.0.0;escaping=values", f"{NEW}; escaping=values"),
    ("application/openmetrics-text;version=1.0.0;escaping=rot13", NEW),
    ("text/plain;version=0.0.4;escaping=dots", f"{TEXT}; escaping=dots"),
)  # fmt: skip


def test_the_client_gets_the_format_that_it_prefers() -> None:
    chosen = {accept: negotiate(accept).content_type for accept, _ in ACCEPTED}

    assert chosen == dict(ACCEPTED)


ENCODINGS = {
    "": False,
    "identity": False,
    "*": False,
    "gzip": True,
    "GZip;Q=0.1": True,
    "x-gzip": True,
    "deflate, gzip;q=1.0, *;q=0.5": True,
    # What the client refuses.
    "gzip;q=0": False,
    "gzip; q=0.000": False,
    "gzip;q=none": False,
    "identity;q=1, gzip;q=0": False,
    "br, notgzip": False,
}


def test_gzip_is_for_clients_that_accept_it() -> None:
    assert {value: accepts_gzip(value) for value in ENCODINGS} == ENCODINGS


parts = st.sampled_from(
    [
        *("application/openmetrics-text", "text/plain", "*/*", "/", "q", ";", ",", "="),
        *("version", "0.0.1", "1.0.0", "0.0.4", "2", "escaping", "allow-utf-8", "dots"),
        *('"', " ", "0", ".5", "-1", "inf", "nan", "\x7f", "é", "1e999"),
    ]
)


@given(st.lists(parts, max_size=20).map("".join) | st.text(max_size=30))
def test_every_header_gets_one_of_the_formats(accept: str) -> None:
    content_type, is_openmetrics = negotiate(accept)

    assert content_type.startswith((OLD, NEW) if is_openmetrics else TEXT)
    assert content_type.isascii()
    assert content_type.isprintable()


def samples(families: Iterable[Metric]) -> list[tuple[str, str]]:
    """Return each sample, without its type, in the order of the text."""
    return [
        (f"{one.name}{sorted(one.labels.items())}", repr(float(one.value)))
        for family in families
        for one in family.samples
    ]


@given(changes)
def test_both_formats_have_the_same_samples(history: list[tuple[str, object]]) -> None:
    async def compare() -> None:
        clock = ManualClock(at("21 12:00"))
        service = Service(MemoryStore(), clock, job_config(BACKUP, SYNC))
        await service.start()
        exposition = Exposition(service, SelfMetrics("1.2.3"))
        await play(history, service, clock, exposition)
        page = await exposition.scrape(is_openmetrics=True)
        openmetrics = b"".join(page.text()).decode()
        text = b"".join((await exposition.scrape()).text()).decode()

        both = openmetrics_families(openmetrics), text_families(text)
        new, old = ([one for one in map(stable, samples(f)) if one] for f in both)
        assert new == old
        assert openmetrics.endswith("\n# EOF\n")
        assert "# EOF" not in text

    asyncio.run(compare())


def stable(sample: tuple[str, str]) -> tuple[str, str] | None:
    """Return *sample* unless it changes between two scrapes."""
    return None if sample[0].startswith(("process_", "python_")) else sample


async def test_prometheus_gets_openmetrics(client: Client) -> None:
    for accept in (PROMETHEUS_2, PROMETHEUS_3):
        response = await client.get("/metrics", headers={"Accept": accept})

        assert response.headers["Content-Type"].startswith(NEW)
        families = {
            one.name: one for one in openmetrics_families(await response.text())
        }
        runs = families[names.RUNS.removesuffix("_total")]
        assert [one.name for one in runs.samples] == [names.RUNS]
        assert (families[names.DEADLINE].unit, families[names.RUNNING].unit) == (
            "seconds",
            "",
        )
        assert families[names.DATABASE_SIZE].unit == "bytes"
        assert families[names.COMMIT_DURATION].type == "histogram"


async def test_no_series_has_a_time_of_creation(client: Client) -> None:
    for accept in (PROMETHEUS_3, "text/plain"):
        text = await (await client.get("/metrics", headers={"Accept": accept})).text()

        assert "_created " not in text
        assert "_created{" not in text


async def test_a_selection_ends_as_openmetrics_does_too(client: Client) -> None:
    response = await client.get(
        "/metrics",
        params={"name[]": [names.RUNS, names.PINGS]},
        headers={"Accept": PROMETHEUS_3},
    )

    families = openmetrics_families(await response.text())
    assert [f"{one.name}_total" for one in families] == [names.RUNS, names.PINGS]


async def test_metrics_that_were_pushed_have_the_text_format(client: Client) -> None:
    """As those of Pushgateway have it, whatever Prometheus prefers."""
    response = await client.get("/metrics/pushed", headers={"Accept": PROMETHEUS_3})

    assert (response.status, response.headers["Content-Type"]) == (200, TEXT)


async def test_both_formats_share_what_was_compressed(service: Service) -> None:
    await service.reconfigure(job_config(BACKUP, SYNC))
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    pages = [
        await exposition.scrape(is_openmetrics=is_openmetrics)
        for is_openmetrics in (True, False, True)
    ]
    packed = [await page.compressed() for page in pages]

    for page, pieces in zip(pages, packed, strict=True):
        assert gzip.decompress(b"".join(pieces)) == b"".join(page.text())
    shared = [{id(piece) for piece in pieces[1:-1]} for pieces in packed]
    assert shared[0] & shared[1]
    assert shared[0] == shared[2]


def test_counters_are_last_because_only_they_differ() -> None:
    is_counter = [family.type == "counter" for family in FAMILIES]

    assert is_counter == sorted(is_counter)
