"""Errors of PostgreSQL and its driver, in words for an operator."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final

import asyncpg
from asyncpg.exceptions import InternalClientError

from afterrun_exporter.storage.codec import UnreadableRowError
from afterrun_exporter.storage.postgres.address import POOLER, TRANSACTION

#: Errors of the caller, not of the database.
CALLERS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    # Values that are too large.
    asyncpg.ProgramLimitExceededError,
)
#: Errors of the database, of the network, and of the driver when a connection is lost.
FAULTS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    InternalClientError,
    OSError,
    MemoryError,
)
#: The transaction had no effect, and may succeed if it is repeated.
REPEATABLE: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
#: Errors after which the connection is still usable.
_HARMLESS: Final = (
    *CALLERS,
    asyncpg.SyntaxOrAccessError,
    asyncpg.TransactionRollbackError,
)
#: Errors of a pooler that gives each transaction another connection.
_POOLED: Final = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)

#: Errors that end when a server or a network is back, and the exceptions among them.
_PASSING: Final = (
    *REPEATABLE,
    asyncpg.PostgresConnectionError,
    # A server that starts or stops, or that ended a statement or an idle session.
    asyncpg.OperatorInterventionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TargetServerAttributeNotMatched,
    InternalClientError,
    OSError,
)
_LASTING: Final = (
    asyncpg.ClientConfigurationError,
    ssl.SSLCertVerificationError,
    PermissionError,
)
#: Texts of poolers and asyncpg about a wrong configuration, as errors of connections.
_LASTING_TEXTS: Final = (
    "startup parameter",
    "no such database",
    "no such user",
    "rejected SSL upgrade",
)

POOLER_HINT: Final = f"a pooler is in between: add ?{POOLER}={TRANSACTION} to the URL"


def is_lost(error: BaseException) -> bool:
    """Return True if the connection must not be used after *error*.

    Also if it may still work: a server that has become a standby keeps its connections,
    and after a timeout the outcome of the transaction is unknown.
    """
    if isinstance(error, (UnreadableRowError, *_POOLED)):
        return isinstance(error, _POOLED)
    return isinstance(error, FAULTS) and not isinstance(error, _HARMLESS)


def is_passing(error: BaseException) -> bool:
    """Return True if *error* ends without a change of the configuration.

    A host without an address may be one that does not run yet.
    """
    if isinstance(error, _LASTING) or getattr(error, "filename", None):
        return False
    is_lasting = any(text in str(error) for text in _LASTING_TEXTS)
    return isinstance(error, _PASSING) and not is_lasting


def reason(error: BaseException) -> str:
    """Return the reason of *error*, in one line."""
    if isinstance(error, OSError) and _REFUSED in str(error):
        # With several addresses of a host, it is not a ConnectionRefusedError.
        error = ConnectionRefusedError()
    for kinds, text in _REASONS:
        if isinstance(error, kinds):
            return text.format(_text(error))
    return _text(error)


def _text(error: BaseException) -> str:
    if isinstance(error, asyncpg.PostgresError):
        # Without the statement, and without details that quote values.
        words = str(error.args[0]) if error.args else str(error)
    elif isinstance(error, OSError):
        words = error.strerror or str(error)
        if error.filename:
            words = f"{words}: {str(error.filename)!r}"
    else:
        words = str(error)
    return " ".join(words.split()) or type(error).__name__


_REFUSED: Final = f"[Errno {errno.ECONNREFUSED}]"

# Of several that match, the first one counts.
_REASONS: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]] = (
    (
        (asyncpg.TargetServerAttributeNotMatched, asyncpg.ReadOnlySQLTransactionError),
        "the server refuses writes: it is a standby, or read-only",
    ),
    (MemoryError, "out of memory"),
    # Of the driver: its own words are about its state.
    ((InternalClientError, asyncpg.ConnectionDoesNotExistError), "connection lost"),
    (TimeoutError, "no answer in time"),
    (socket.gaierror, "unknown host: {}"),
    (ConnectionRefusedError, "connection refused: is PostgreSQL running there?"),
    (_POOLED, f"{{}}: {POOLER_HINT}"),
    (asyncpg.InvalidPasswordError, "{}: check the user, and the password or its file"),
    (asyncpg.InvalidAuthorizationSpecificationError, "{}"),
    (asyncpg.InvalidCatalogNameError, "{}: create it with `createdb`"),
    (
        asyncpg.InvalidSchemaNameError,
        "{}: create the schema, or change search_path in the URL",
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "{}: the user must own the database, or may CREATE in its schema",
    ),
)  # fmt: skip
