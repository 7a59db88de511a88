"""Results of importers: jobs for afterrun.yml, and what they could not express."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A place in the imported files."""

    #: The name of the file as given, or the URL.
    file: str
    #: Counted from 1; 0 for the file as a whole.
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to import from."""

    #: Its name as given, or the URL; ``stdin`` for the standard input.
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ImportedJob:
    """An entry of ``jobs:``."""

    name: str
    #: Its keys and values as in afterrun.yml, in the order in which they are written.
    settings: Mapping[str, object]
    source: Source
    #: Lines of the comment above the job, besides that with the source.
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedPolicy:
    """An item of ``policies:``."""

    settings: Mapping[str, object]
    source: Source
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Unmapped:
    """Something that afterrun.yml cannot express, or that could not be read."""

    source: Source
    #: The text or the key that is not mapped, as written.
    text: str
    #: The reason, and what to do by hand.
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.text}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Imported:
    """Everything from one source."""

    jobs: tuple[ImportedJob, ...] = ()
    policies: tuple[ImportedPolicy, ...] = ()
    #: Other sections of afterrun.yml, such as ``alertmanager``.
    sections: Mapping[str, object] = field(default_factory=dict)
    unmapped: tuple[Unmapped, ...] = ()
