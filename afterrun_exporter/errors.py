"""What can go wrong, one class per thing a caller may want to catch.

The core raises plain `ValueError`; the layers around it say which kind it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class AfterRunError(Exception):
    """The root of all errors that a user can do something about."""

    #: What programs know it by, in answers over HTTP; it never changes.
    kind: ClassVar[str] = "failed"


class PingError(AfterRunError):
    """A report could not be read; the message says what is wrong with it."""

    kind = "unreadable-report"


class HistoryError(PingError):
    """A report of a past run could not be read: nothing is recorded of it."""

    kind = "unreadable-history"


class BodyError(AfterRunError):
    """A body does not arrive as HTTP has it; the message says what is wrong with it."""

    kind = "bad-request"


class UnknownJobError(AfterRunError):
    """There is no job of this name, and none may be registered."""

    kind = "unknown-job"


class ConfiguredJobError(AfterRunError):
    """What is to be done with a job is for the configuration to say: it names it."""

    kind = "configured-job"


class DescriptionError(AfterRunError):
    """What a client says of its job cannot be used; the message says what."""

    kind = "invalid-description"


class StorageError(AfterRunError):
    """Nothing was recorded: the database could not commit."""

    kind = "storage-unavailable"


class UnreadableStorageError(StorageError):
    """A read failed: the database is broken, or another program locks it."""

    kind = "storage-unreadable"


class UnauthorizedError(AfterRunError):
    """Nobody knows who sent a request, and it is not for everybody."""

    kind = "unauthorized"


class ForbiddenError(AfterRunError):
    """Whoever sent a request is known, and may not do this."""

    kind = "forbidden"


class TooManyLoginsError(AfterRunError):
    """More passwords are to be checked than can be; it passes."""

    kind = "too-many-logins"


class RequestError(AfterRunError):
    """A request to the API cannot be understood; the message says why."""

    kind = "invalid-request"


class UnknownReceiverError(AfterRunError):
    """There is no receiver with this id."""

    kind = "unknown-receiver"


class ReceiverExistsError(AfterRunError):
    """The same target is told of the same job already."""

    kind = "receiver-exists"


class AlertmanagerError(AfterRunError):
    """Alertmanager did not load what was written for it, or did not answer."""

    kind = "alertmanager-unavailable"


class AlertmanagerRefusedError(AlertmanagerError):
    """Alertmanager read what was written for it, and goes on with the old one."""

    kind = "alertmanager-refused"


class PushError(AfterRunError):
    """Alertmanager has not taken alerts that were posted to it; it may later."""


class AlertsRefusedError(PushError):
    """Alertmanager finds at least one of these alerts wrong, and always will."""


class GenerateError(AfterRunError):
    """Files could not be generated; none was written."""

    kind = "file-not-generated"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a configuration file, where it stands."""

    #: Counted from 1; 0 for the file as a whole.
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        line = f"{self.line}: " if self.line else " "
        where = f"{self.path}: " if self.path else ""
        return f"{line}{where}{self.message}"


class ConfigError(AfterRunError):
    """A configuration file is refused; it has every problem found, by line."""

    kind = "invalid-configuration"

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(f"{file}:{problem}" for problem in self.problems))
