from __future__ import annotations

import gc
import os
import resource
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.clock import STEP
from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP, at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import job_config
from tests.signals import stop_ignoring_signals

pytest_plugins = ["tests.postgres"]

# How long an example takes says something of the machine, and nothing of a law; and
# what fails elsewhere is to be found again here.
settings.register_profile(
    "laws", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# `make unit` looks for mistakes of a minute ago; `make test` for all others.
settings.register_profile("unit", settings.get_profile("laws"), max_examples=20)
settings.load_profile("laws")


#: Fixtures with a PostgreSQL server.
SERVERS = {"postgres_server", "postgres", "shared_database"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Begin with what takes long, so that nothing ends late; choose what is measured."""
    for item in items:
        if needs_postgres(item):
            item.add_marker("postgres")
    if config.pluginmanager.hasplugin("_cov"):
        for item in items:
            if not counts_as_coverage(item):
                item.add_marker("no_cover")
    tests = Path(__file__).parent
    stories, servers = tests / "e2e", tests / "storage" / "postgres"
    limits = tests / "test_limits.py"
    items.sort(
        key=lambda item: (
            item.path.parent != stories,
            stories not in item.path.parents,
            item.path.parent != servers,
            item.path != limits,
        )
    )


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of tests, which all stay."""
    gc.collect()
    gc.freeze()


def needs_postgres(item: pytest.Item) -> bool:
    """Return True if the test starts a PostgreSQL server, which takes long.

    The promises of every store are few and run with each of them.
    """
    if not isinstance(item, pytest.Function) or item.path.name == "test_store.py":
        return False
    variant = getattr(item, "callspec", None)
    return not SERVERS.isdisjoint(item.fixturenames) or (
        variant is not None
        and any(str(one).split(",")[0] == "postgres" for one in variant.params.values())
    )


def counts_as_coverage(item: pytest.Item) -> bool:
    """Return True for the examples of core/ and engine/.

    A property runs other lines each time, and measuring many cases takes long.
    """
    tests = Path(__file__).parent
    return (
        not {tests / "core", tests / "engine"}.isdisjoint(item.path.parents)
        and not is_hypothesis_test(getattr(item, "obj", None))
        and not item.get_closest_marker("thorough")
    )


@pytest.fixture(autouse=True)
def _no_signal_of_a_terminal_is_ignored() -> None:
    stop_ignoring_signals()


@pytest.fixture(autouse=True)
def _what_all_tests_share_stays_as_it_is() -> Iterator[None]:
    """A test that changes the process changes the tests after it.

    At a lower priority they take minutes beside busy programs.
    """
    before = shared_by_all_tests()
    yield
    assert shared_by_all_tests() == before


def shared_by_all_tests() -> dict[str, object]:
    """Return what belongs to the process: its priority, folder and limits."""
    limits = resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE
    return {
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "folder": os.getcwd(),  # noqa: PTH109 - it is only compared
        "limits": [resource.getrlimit(one) for one in limits],
    }


@pytest.fixture
def clock() -> ManualClock:
    """Noon of the day before the backup is due."""
    return ManualClock(at("21 12:00"))


@pytest.fixture
def long_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the time of a step pass with each look at the stopwatch.

    So what is done in steps takes as many on every machine.
    """
    looks = count()

    def ticking() -> float:
        return next(looks) * STEP

    monkeypatch.setattr("afterrun_exporter.clock.stopwatch", ticking)
    monkeypatch.setattr("afterrun_exporter.engine.job_search.stopwatch", ticking)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Service]:
    """A service that watches the backup."""
    service = Service(store, clock, job_config(BACKUP))
    await service.start()
    yield service
    await store.close()


@pytest.fixture
async def client(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> Client:
    return await aiohttp_client(app_of(service, clock))
