"""What is pushed to be exposed again: it fits, or it is refused."""

from __future__ import annotations

import asyncio
import math
import subprocess
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from afterrun_exporter.core.job_config import JobConfig, plain_job
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.pushed_metrics import Group, after_push
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError
from tests.copies import replace
from tests.examples import examples
from tests.fakes import ManualClock, MemoryStore
from tests.push_bodies import families_of, read_text
from tests.services import job_config

ETL = {"job": "etl"}


def exposing(name: str, said: str = "") -> Job:
    return replace(plain_job(name, said), exposes_pushes=True)


EXPOSING = JobConfig(unknown=exposing)


async def opened(
    store: MemoryStore, clock: ManualClock, described: JobConfig = EXPOSING
) -> PushedMetrics:
    """Return what is exposed of *store* after a start."""
    service = Service(store, clock, described)
    await service.start()
    pushed = PushedMetrics(store, service, clock)
    await pushed.refresh()
    return pushed


async def push(
    pushed: PushedMetrics, body: str, *, replacing: bool = True, **group: str
) -> None:
    labels = ETL | group
    families = families_of(read_text(body.encode()), labels)
    await pushed.push(labels["job"], labels, families, replacing=replacing)


def lines(pushed: PushedMetrics) -> set[str]:
    return set(pushed.page().decode().splitlines())


async def test_what_was_pushed_is_there_after_a_restart(
    store: MemoryStore, clock: ManualClock
) -> None:
    pushed = await opened(store, clock)
    await push(pushed, "# HELP m Old.\n# TYPE m counter\nm 1\n")
    await push(pushed, "# HELP m New.\n# TYPE m counter\nm 2\n", region="eu")

    again = await opened(store, clock)

    assert 'm{instance="",job="etl",region="eu"} 2' in lines(again)
    assert again.page() == pushed.page()


async def test_what_another_replica_stores_meanwhile_is_not_lost(
    clock: ManualClock,
) -> None:
    """A POST that comes to both adds its families to those of the other."""

    class Contended(MemoryStore):
        rivals: ClassVar = ["other 1\n", "another 1\n"]

        async def save_pushed(self, group: Group) -> bool:
            if not self.rivals:
                return await super().save_pushed(group)
            families = families_of(read_text(self.rivals.pop().encode()), ETL)
            (stored,) = await self.pushed() or [Group(labels=group.labels, job="etl")]
            changed = after_push(stored, families, clock.now(), replacing=False)
            await super().save_pushed(changed)
            return False

    pushed = await opened(Contended(), clock)
    await push(pushed, "ours 1\n", replacing=False)

    names = {line.partition("{")[0] for line in lines(pushed)}
    assert names >= {"ours", "other", "another"}


async def test_one_that_does_not_fit_changes_nothing(
    store: MemoryStore, clock: ManualClock
) -> None:
    pushed = await opened(store, clock)
    await push(pushed, "m 1\n")
    before = pushed.page()

    with pytest.raises(PingError) as caught:
        await push(pushed, "# TYPE m counter\nm 1\n", region="eu")

    assert str(caught.value) == (
        "pushed metrics are invalid or inconsistent with existing metrics: "
        "m is of type counter, but untyped in another group"
    )
    assert pushed.page() == before
    assert (await opened(store, clock)).page() == before


async def test_what_is_kept_has_a_limit(store: MemoryStore, clock: ManualClock) -> None:
    """What there is may be changed as long as it does not grow."""
    pushed = await opened(store, clock, JobConfig(unknown=exposing, pushed_bytes=600))
    await push(pushed, "m 1\n")

    with pytest.raises(PingError, match=r"limits.pushed_bytes \(600 bytes\): delete"):
        await push(pushed, "m 1\n", region="eu")
    with pytest.raises(PingError, match=r"or raise the limit"):
        await push(pushed, f"m 1\nn{{x='{'x' * 200}'}} 1\n".replace("'", '"'))
    await pushed.refused("etl:eu", ETL | {"region": "eu"})
    await push(pushed, "m 3\n")

    assert 'm{instance="",job="etl"} 3' in lines(pushed)
    assert "eu" not in pushed.page().decode()
    await pushed.delete(ETL)
    await push(pushed, "m 1\n", region="eu")


async def test_a_job_that_is_not_to_be_exposed_any_more_is_forgotten(
    store: MemoryStore, clock: ManualClock
) -> None:
    pushed = await opened(store, clock)
    await push(pushed, "m 1\n")

    kept = await opened(store, clock, job_config(exposing("etl"), unknown=None))
    assert kept.page() == pushed.page()
    assert (await opened(store, clock, JobConfig())).page() == b""
    assert await store.pushed() == []


# --- Whatever is pushed, the page can be read

NAMES = st.sampled_from(["m", "m_sum", "m_count", "m_bucket"])
TYPES = st.sampled_from(["counter", "gauge", "histogram", "summary", "untyped"])
FEW = st.sampled_from(["", "1", "eu"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
#: Those of a series and those of a group, which may come to the same.
LABELS = st.dictionaries(st.sampled_from(["x", "instance"]), FEW, max_size=1)
GROUPS = LABELS | LABELS | st.dictionaries(st.just("x"), st.just("\0") | TEXT)
ODD_LABELS = st.dictionaries(
    st.sampled_from(["x", "le", "quantile", "job", "__x"]), FEW | TEXT, max_size=2
)
ODD_NAMES = NAMES | st.sampled_from(["push_time_seconds", "afterrun_x", "1"])
#: Beside one label, what is in a family of each type.
SERIES = {
    "histogram": [("_bucket", {"le": "+Inf"}), ("_sum", {}), ("_count", {})],
    "summary": [("", {"quantile": "0.5"}), ("_sum", {}), ("_count", {})],
}


class Push(NamedTuple):
    method: str
    group: dict[str, str]
    body: str


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def written(name: str, labels: dict[str, str], value: float = 1) -> str:
    told = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{told}}} {value}"


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """Of one family or two as they should be, and now and then of anything else."""
    lines = []
    for name, kind in draw(st.dictionaries(NAMES, TYPES, max_size=2)).items():
        labels = draw(LABELS)
        lines += [f"# HELP {name} {escaped(draw(TEXT))}", f"# TYPE {name} {kind}"]
        for part, more in SERIES.get(kind, [("", {})]):
            lines.append(written(name + part, labels | more))
    if draw(st.integers(0, 5)) == 0:
        value = draw(st.floats() | st.integers())
        lines.append(written(draw(ODD_NAMES), draw(ODD_LABELS), value))
    return "".join(f"{line}\n" for line in lines)


PUSHES = st.lists(
    st.builds(
        Push, st.sampled_from(["PUT", "POST", "POST", "DELETE"]), GROUPS, bodies()
    ),
    min_size=2,
    max_size=8,
)


async def after(pushes: Iterable[Push]) -> PushedMetrics:
    """Return what is exposed after *pushes*, some of which will not be taken."""
    store, clock = MemoryStore(), ManualClock()
    pushed = await opened(store, clock)
    for method, group, body in pushes:
        labels = ETL | group
        try:
            if method == "DELETE":
                await pushed.delete(labels)
            else:
                await push(pushed, body, replacing=method == "PUT", **group)
        except PingError:
            await pushed.refused("etl", labels)
    assert lines(await opened(store, clock)) == lines(pushed)
    return pushed


#: What may stand behind the name of a family.
PLACES = {
    "histogram": {"_bucket", "_sum", "_count"},
    "summary": {"", "_sum", "_count"},
}


@given(PUSHES)
@settings(max_examples=examples(300))
def test_whatever_is_pushed_the_page_can_be_read(pushes: list[Push]) -> None:
    """Each family once and whole, each series once; and a restart changes nothing."""
    page = asyncio.run(after(pushes)).page().decode()

    assert "\0" not in page
    families: dict[str, str] = {}
    owners: dict[str, str] = {}
    seen: set[str] = set()
    family = ""
    for line in page.removesuffix("\n").split("\n") if page else ():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in families
            families[family] = kind
        elif not line.startswith("# HELP "):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            assert name.removeprefix(family) in PLACES.get(families[family], {""})
            assert owners.setdefault(name, family) == family
            assert series not in seen
            seen.add(series)
            assert math.isfinite(float(value)) or value in {"NaN", "+Inf", "-Inf"}
    parsed = text_string_to_metric_families(page)
    assert sum(len(one.samples) for one in parsed) == len(seen)


async def test_promtool_reads_every_odd_character(
    store: MemoryStore, clock: ManualClock
) -> None:
    """It may find fault with names and help texts, which are the pusher's."""
    pushed = await opened(store, clock)
    odd = escaped("".join(map(chr, range(1, 0x180))) + "\u2028\ufffd\U0001f600")
    body = f'# HELP m {odd}\n# TYPE m summary\nm{{quantile="0.5",x="{odd}"}} 1\n'
    await push(pushed, body)
    await push(
        pushed, 'h_bucket{le="+Inf"} NaN\n# TYPE h histogram\nh_sum -Inf\n', a=odd
    )

    command = ["promtool", "check", "metrics"]
    done = await asyncio.to_thread(
        subprocess.run, command, input=pushed.page(), capture_output=True, check=False
    )

    assert done.returncode in {0, 3}, done.stderr


async def test_the_groups_of_a_job_that_is_exposed_no_more_are_removed(
    store: MemoryStore, clock: ManualClock
) -> None:
    service = Service(store, clock, EXPOSING)
    await service.start()
    pushed = PushedMetrics(store, service, clock)
    await pushed.refresh()
    await push(pushed, "rows 1\n")

    await service.reconfigure(JobConfig())
    await pushed.refresh()

    assert lines(pushed) == set()
    assert await store.pushed() == []


async def test_a_refused_push_is_exposed_as_a_failure_of_its_group(
    store: MemoryStore, clock: ManualClock
) -> None:
    pushed = await opened(store, clock)

    await pushed.refused("etl", ETL)

    assert f'push_failure_time_seconds{{instance="",job="etl"}} {clock.now()}' in (
        lines(pushed)
    )


async def test_a_refused_push_is_not_exposed_where_the_group_has_no_room(
    store: MemoryStore, clock: ManualClock
) -> None:
    pushed = await opened(store, clock, replace(EXPOSING, pushed_bytes=1))

    await pushed.refused("etl", ETL)

    assert lines(pushed) == set()


async def test_a_group_that_is_not_there_may_be_removed(
    store: MemoryStore, clock: ManualClock
) -> None:
    pushed = await opened(store, clock)
    await push(pushed, "rows 1\n")

    await pushed.delete({"job": "other"})

    assert any(line.startswith("rows") for line in lines(pushed))
