"""Exceptions for errors that a user can fix, one class per kind.

The core raises plain `ValueError`; the outer layers turn it into one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Final

#: The end of the message of an error after which the database may have committed.
UNCERTAIN: Final = "nothing is known to be recorded"


class AfterRunError(Exception):
    """The base class of all errors that a user can fix."""

    #: Its identifier for programs, in responses over HTTP; it never changes.
    kind: ClassVar[str] = "failed"
    #: Its status in responses over HTTP; None for errors that are none there.
    status: ClassVar[HTTPStatus | None] = None


class PingError(AfterRunError):
    """A report could not be parsed; the message has the problem."""

    kind = "unreadable-report"
    status = HTTPStatus.BAD_REQUEST


class HistoryError(PingError):
    """A report of a past run could not be parsed; nothing of it was recorded."""

    kind = "unreadable-history"


class BodyError(AfterRunError):
    """The body of a request is invalid HTTP; the message has the problem."""

    kind = "bad-request"
    status = HTTPStatus.BAD_REQUEST


class UnknownJobError(AfterRunError):
    """There is no job of this name, and none can be registered."""

    kind = "unknown-job"
    status = HTTPStatus.NOT_FOUND


class ConfiguredJobError(AfterRunError):
    """The job is defined in the configuration, and must be changed there."""

    kind = "configured-job"
    status = HTTPStatus.CONFLICT


class DescriptionError(AfterRunError):
    """Settings that a client sent for its job are invalid; the message has the problem."""

    kind = "invalid-description"
    status = HTTPStatus.BAD_REQUEST


class StorageError(AfterRunError):
    """Nothing was recorded: the database could not commit."""

    kind = "storage-unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class JobChangedError(StorageError):
    """Another replica changed a job at the same time; nothing was recorded."""

    kind = "job-changed"


class UnreadableStorageError(StorageError):
    """A read failed: the database is broken, or another program locks it."""

    kind = "storage-unreadable"


class UnreachableStorageError(StorageError):
    """The server of the database cannot be reached, or does not accept writes now."""


class OutdatedError(AfterRunError):
    """The states of jobs may be out of date; another replica may answer."""

    kind = "outdated"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class UnauthorizedError(AfterRunError):
    """Authentication is required, or failed."""

    kind = "unauthorized"
    status = HTTPStatus.UNAUTHORIZED


class ForbiddenError(AfterRunError):
    """The client is authenticated, but lacks the permission."""

    kind = "forbidden"
    status = HTTPStatus.FORBIDDEN


class TooManyLoginsError(AfterRunError):
    """Too many passwords are being checked; a retry may succeed."""

    kind = "too-many-logins"
    status = HTTPStatus.TOO_MANY_REQUESTS


class RequestError(AfterRunError):
    """A request to the API is invalid; the message has the problem."""

    kind = "invalid-request"
    status = HTTPStatus.BAD_REQUEST


class UnknownReceiverError(AfterRunError):
    """There is no receiver with this id."""

    kind = "unknown-receiver"
    status = HTTPStatus.NOT_FOUND


class ReceiverExistsError(AfterRunError):
    """The job already has a receiver with this target."""

    kind = "receiver-exists"
    status = HTTPStatus.CONFLICT


class AlertmanagerError(AfterRunError):
    """Alertmanager did not load its new configuration, or did not respond."""

    kind = "alertmanager-unavailable"
    status = HTTPStatus.BAD_GATEWAY


class AlertmanagerRefusedError(AlertmanagerError):
    """Alertmanager refused its new configuration, and keeps the old one."""

    kind = "alertmanager-refused"


class PushError(AfterRunError):
    """Alertmanager did not accept posted alerts; it may later."""


class AlertsRefusedError(PushError):
    """Alertmanager refuses at least one of these alerts permanently."""


class GitError(AfterRunError):
    """A git repository could not be fetched or read; the message has the cause."""

    kind = "repository-unavailable"
    status = HTTPStatus.BAD_GATEWAY


class StoppingError(AfterRunError):
    """The daemon is stopping, and has not finished what was requested."""

    kind = "stopping"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class GenerateError(AfterRunError):
    """Files could not be generated; none was written."""

    kind = "file-not-generated"
    status = HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A problem of a configuration file, with its position."""

    #: Counted from 1; 0 for the file as a whole.
    line: int
    path: str
    message: str
    #: The file that it is in, if a configuration has several; "" otherwise.
    file: str = ""

    def __str__(self) -> str:
        line = f"{self.line}: " if self.line else " "
        where = f"{self.path}: " if self.path else ""
        return f"{line}{where}{self.message}"

    def within(self, configuration: str) -> str:
        """Return its text with its file, or else with the name of the *configuration*."""
        return f"{self.file or configuration}:{self}"


class ConfigError(AfterRunError):
    """A configuration is invalid; it has every problem, by file and line."""

    kind = "invalid-configuration"
    # As Prometheus answers a reload with an invalid configuration.
    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda one: (one.file, one)))
        super().__init__("\n".join(one.within(file) for one in self.problems))
