"""A plugin that runs the tests of the application against two replicas in turn.

``pytest -p tests.two_replicas tests/api ...`` answers every other request of a test from
a second replica, which has its own memory and shares the database. So whatever a request
leaves in the memory of one replica alone makes a test fail that needs it later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

import tests.fakes
from afterrun_exporter import app
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api import routes as api
from afterrun_exporter.clock import Clock, yield_to_loop
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.page import routes as page
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.job_index import Index
from afterrun_exporter.storage.store import Store
from tests.fakes import ManualClock
from tests.replicas import Database, Replica, ReplicaStore

#: Tests that look into one replica, or break it, by the reason why that is no fault.
ALONE: Final = {
    "each replica counts the pings that it got": (
        "test_uptime_kuma_knows_one_error",
        "test_a_repeat_is_no_second_run_and_options_none_at_all",
        "test_pings_are_counted_by_what_became_of_them",
    ),
    "each replica knows its own new jobs of the last minute": (
        "test_many_new_jobs_are_no_typing_errors",
    ),
    "a task that has not started is known to one replica": (
        "test_counts_may_come_with_the_start_itself[PATCH]",
        "test_the_timeout_of_a_task_is_the_limit_of_its_run[True]",
    ),
    "the store of one replica is broken": (
        "test_that_cannot_be_stored_is_told_and_kept",
        "test_what_is_broken_is_told_all_the_same",
    ),
    "a start of one replica is no downtime": (
        "test_the_api_tells_and_filters",
        "test_the_overview_says_how_many_and_lists_them",
        "test_the_page_of_a_job_says_which_slots",
        "test_an_open_run_had_to_end_in_it",
    ),
    "the test makes one replica count the runs of the last day": (
        "test_the_figures_are_the_same_everywhere",
    ),
    "the test compares states in the memory of one replica": (
        "test_nothing_is_changed_by_it",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of one replica."""
    for reason, names in ALONE.items():
        for item in items:
            if item.name in names or item.name.partition("[")[0] in names:
                item.add_marker(pytest.mark.skip(reason=reason))


def _replace(owner: object, **values: object) -> None:
    """Replace attributes of a module or class for all tests."""
    for name, value in values.items():
        setattr(owner, name, value)


class _Replica(Replica):
    """Leads if it is the first one, and looks at changes with each request."""

    @property
    def is_leader(self) -> bool:
        return self.name == "first"

    def outdated(self) -> str:
        return ""


class FirstStore(ReplicaStore):
    """Stands for a `MemoryStore`, with a database that the second replica shares."""

    def __init__(self, name: str = "first", database: Database | None = None) -> None:
        super().__init__(name, database or Database(ManualClock()))
        self.replica = self.replicas = _Replica(name, self)
        #: The second replica; None until it is needed.
        self.twin: Service | None = None


_replace(tests.fakes, MemoryStore=FirstStore)

# It imports what is replaced.
import tests.http  # noqa: E402 - the order matters

_init: Final = Service.__init__


def _with_clock(
    self: Service, store: Store, clock: Clock, job_config: JobConfig
) -> None:
    if isinstance(store, FirstStore) and isinstance(clock, ManualClock):
        store.database.clock = store.replica._clock = clock
    _init(self, store, clock, job_config)


def _twin_of(service: Service) -> Service:
    """Return the second replica of *service*, which is not started."""
    store = service.store
    assert isinstance(store, FirstStore)
    if store.twin is None:
        other = FirstStore("second", store.database)
        store.twin = Service(other, store.database.clock, service.job_config)
    return store.twin


#: The handler of the second replica for each route of the first one.
_TWINS: Final[dict[int, tuple[web.RouteDef, web.RouteDef]]] = {}


def _paired(
    first: list[web.RouteDef], second: list[web.RouteDef]
) -> list[web.RouteDef]:
    _TWINS.update((id(a), (a, b)) for a, b in zip(first, second, strict=True))
    return first


def _is_shared(service: Service) -> bool:
    return isinstance(service.store, FirstStore)


def _receivers_of(receivers: Receivers, store: Store) -> Receivers:
    return Receivers(store, receivers._file._reload)


_api_routes: Final = api.routes
_page_routes: Final = page.routes
_make_app: Final = app.make_app


def _both_api_routes(
    service: Service, store: Store, receivers: Receivers, clock: Clock
) -> list[web.RouteDef]:
    first = _api_routes(service, store, receivers, clock)
    if not _is_shared(service):
        return first
    twin = _twin_of(service)
    other = _receivers_of(receivers, twin.store)
    return _paired(first, _api_routes(twin, twin.store, other, clock))


def _both_page_routes(context: Context) -> list[web.RouteDef]:
    first = _page_routes(context)
    if not _is_shared(context.service):
        return first
    twin = _twin_of(context.service)
    other = dataclasses.replace(
        context,
        service=twin,
        store=twin.store,
        receivers=_receivers_of(context.receivers, twin.store),
        job_admin=JobAdmin(twin, context.clock),
        index=Index(twin),
    )
    return _paired(first, _page_routes(other))


def _app_of_both(
    service: Service,
    clock: Clock,
    exposition: Exposition,
    pushed: PushedMetrics,
    reload: Any,
    options: Any,
    more: Iterable[web.RouteDef],
    *others: Any,
) -> web.Application:
    more = list(more)
    first = _make_app(
        service, clock, exposition, pushed, reload, options, more, *others
    )
    if not _is_shared(service):
        return first
    twin = _twin_of(service)
    second = _make_app(
        twin,
        clock,
        Exposition(twin, SelfMetrics("1.2.3")),
        PushedMetrics(twin.store, twin, clock),
        reload,
        options,
        [_TWINS.get(id(route), (route, route))[1] for route in more],
        *others,
    )
    turns = cycle([False, True])
    started: list[bool] = []

    @web.middleware
    async def in_turn(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not started:
            started.append(True)
            _look(twin)
            await twin.start()
            second.freeze()
            await second.startup()
        if twin.job_config is not service.job_config:
            await twin.reconfigure(service.job_config)
        _look(service, twin)
        # Pushed metrics are read again in a task.
        await yield_to_loop()
        try:
            if next(turns):
                return await second._handle(request)
            return await handler(request)
        finally:
            _look(service, twin)

    async def close(_: web.Application) -> None:
        if started:
            await second.cleanup()

    first.middlewares.insert(0, in_turn)
    first.on_cleanup.append(close)
    return first


def _look(*services: Service) -> None:
    """Make replicas look at the changes of the others."""
    for service in services:
        store = service.store
        assert isinstance(store, ReplicaStore)
        store.replica.look()


_app_of: Final[Callable[..., web.Application]] = tests.http.app_of


def _app_that_shares(
    service: Service,
    clock: Clock,
    options: Any = None,
    pushed: PushedMetrics | None = None,
    **more: Any,
) -> web.Application:
    """Return the application; its pushed metrics are in the database of the service."""
    pushed = pushed or PushedMetrics(service.store, service, clock)
    return _app_of(service, clock, options, pushed, **more)


_replace(Service, __init__=_with_clock)
_replace(api, routes=_both_api_routes)
_replace(page, routes=_both_page_routes)
_replace(
    tests.http,
    routes=_both_api_routes,
    page_routes=_both_page_routes,
    make_app=_app_of_both,
    app_of=_app_that_shares,
)
