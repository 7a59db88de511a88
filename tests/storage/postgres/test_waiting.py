"""A server that cannot be reached is waited for; a wrong configuration is refused."""

from __future__ import annotations

import socket
from collections.abc import Callable

import asyncpg
import pytest
from structlog.testing import capture_logs

from afterrun_exporter.errors import (
    StoppingError,
    StorageError,
    UnreachableStorageError,
)
from afterrun_exporter.storage.location import parse_url
from afterrun_exporter.storage.opening import open_store
from afterrun_exporter.storage.postgres.failures import is_passing
from tests.postgres import PASSWORD, Database


def on_commit(_: float) -> None:
    pass


async def never(_: float) -> None:
    pytest.fail("it waits")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionRefusedError(111, "Connection refused"), True),
        (FileNotFoundError(2, "No such file or directory"), True),
        (FileNotFoundError(2, "No such file or directory", "root.crt"), False),
        (TimeoutError(), True),
        (socket.gaierror(-2, "Name or service not known"), True),
        (PermissionError(13, "Permission denied"), False),
        (ConnectionError("PostgreSQL server at x rejected SSL upgrade"), False),
        (asyncpg.CannotConnectNowError("the database system is starting up"), True),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), True),
        (asyncpg.AdminShutdownError("terminating connection"), True),
        (asyncpg.CrashShutdownError("terminating connection"), True),
        (asyncpg.IdleInTransactionSessionTimeoutError("terminating"), True),
        (asyncpg.IdleSessionTimeoutError("terminating connection"), True),
        (asyncpg.QueryCanceledError("due to statement timeout"), True),
        (asyncpg.LockNotAvailableError("due to lock timeout"), True),
        (asyncpg.SerializationError("could not serialize access"), True),
        (asyncpg.DeadlockDetectedError("deadlock detected"), True),
        (asyncpg.InFailedSQLTransactionError("is aborted"), False),
        (asyncpg.TargetServerAttributeNotMatched("none is primary"), True),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"), True),
        (asyncpg.ConnectionDoesNotExistError("connection was closed"), True),
        (asyncpg.ProtocolViolationError("server_login_failed"), True),
        (asyncpg.ProtocolViolationError("unsupported startup parameter: jit"), False),
        (asyncpg.InvalidPasswordError("password authentication failed"), False),
        (asyncpg.InvalidAuthorizationSpecificationError("no pg_hba entry"), False),
        (asyncpg.InvalidCatalogNameError('database "x" does not exist'), False),
        (asyncpg.InsufficientPrivilegeError("permission denied"), False),
        (asyncpg.ClientConfigurationError("invalid DSN"), False),
        (MemoryError(), False),
    ],
    ids=repr,
)
def test_only_errors_that_may_end_by_themselves_pass(
    error: BaseException, passes: bool
) -> None:
    assert is_passing(error) == passes


async def test_a_server_that_is_down_at_the_start_is_waited_for(
    postgres: Database,
) -> None:
    """One line is logged for each reason, not for each attempt."""
    server, waits = postgres.server, 0
    server.stop()

    async def sleep(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            server.start()

    with capture_logs() as events:
        async with open_store(parse_url(postgres.url), on_commit, sleep) as store:
            assert store.replicas.is_shared
            assert store.replicas.outdated() == ""

    assert waits >= 3
    texts = [event["event"] for event in events]
    reasons = [
        one["reason"] for one in events if one["event"] == "waiting_for_database"
    ]
    assert "connection refused" in reasons[0]
    assert len(reasons) == len({*reasons})
    assert texts.count("database_reached") == 1
    assert PASSWORD not in str(events)


@pytest.mark.parametrize(
    "changed",
    [
        lambda url: url.replace(":p%2F", ":q%2F"),
        lambda url: url.replace("/test_", "/other_"),
        lambda url: f"{url}?sslmode=require",
    ],
    ids=["password", "database", "encryption"],
)
async def test_a_wrong_configuration_is_refused_at_once(
    postgres: Database, changed: Callable[[str], str]
) -> None:
    url = parse_url(changed(postgres.url))

    with pytest.raises(StorageError) as caught:
        async with open_store(url, on_commit, never):
            pass

    assert not isinstance(caught.value, UnreachableStorageError)
    assert PASSWORD not in str(caught.value)


async def test_a_stop_ends_the_waiting(postgres: Database) -> None:
    postgres.server.stop()

    async def stopping(_: float) -> None:
        raise StoppingError("the daemon is stopping")

    with pytest.raises(StoppingError):
        async with open_store(parse_url(postgres.url), on_commit, stopping):
            pass
