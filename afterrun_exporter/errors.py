"""What can go wrong, one class per thing a caller may want to catch.

The core raises plain `ValueError`; the layers around it say which kind it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class AfterRunError(Exception):
    """The root of all errors that a user can do something about."""


class PingError(AfterRunError):
    """A report could not be read; the message says what is wrong with it."""


class UnknownJobError(AfterRunError):
    """A ping names a job that is not known and may not be registered."""


class StorageError(AfterRunError):
    """Nothing was recorded: the database could not commit."""


class UnauthorizedError(AfterRunError):
    """Nobody knows who sent a request, and it is not for everybody."""


class ForbiddenError(AfterRunError):
    """Whoever sent a request is known, and may not do this."""


class TooManyLoginsError(AfterRunError):
    """More passwords are to be checked than can be; it passes."""


class RequestError(AfterRunError):
    """A request to the API cannot be understood; the message says why."""


class UnknownReceiverError(AfterRunError):
    """There is no receiver with this id."""


class ReceiverExistsError(AfterRunError):
    """The same target is told of the same job already."""


class AlertmanagerError(AfterRunError):
    """Alertmanager did not load what was written for it, or did not answer."""


class AlertmanagerRefusedError(AlertmanagerError):
    """Alertmanager read what was written for it, and goes on with the old one."""


class PushError(AfterRunError):
    """Alertmanager has not taken alerts that were posted to it; it may later."""


class AlertsRefusedError(PushError):
    """Alertmanager finds at least one of these alerts wrong, and always will."""


class GenerateError(AfterRunError):
    """Files could not be generated; none was written."""


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

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(f"{file}:{problem}" for problem in self.problems))
