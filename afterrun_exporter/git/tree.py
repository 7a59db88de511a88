"""Reading a configuration from the tree of a commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final, Protocol

from afterrun_exporter.config.source import (
    MAX_BYTES,
    NO_FILES,
    TOO_LARGE,
    Source,
    SourceFile,
    decoded,
    in_files,
    is_read,
)
from afterrun_exporter.core.commits import short_commit
from afterrun_exporter.errors import ConfigError, GitError, Problem

_TREE: Final = "040000"
_FILES: Final = ("100644", "100755")
#: Messages for entries that are neither files nor directories.
_OTHERS: Final = {
    "120000": "is a symbolic link, which is not followed: use the file itself",
    "160000": "is a submodule, which is not read",
}


class Git(Protocol):
    """Runs git in a repository."""

    async def __call__(
        self, *arguments: str, stdin: bytes = ..., most: int = ...
    ) -> bytes:
        """Return the output; raise GitError."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a tree."""

    name: str
    mode: str
    id: str
    size: int


async def source(git: Git, commit: str, path: str) -> Source:
    """Return the configuration at *path* in *commit*, a file or a directory.

    Raises ConfigError if it cannot be used, and GitError.
    """
    label = f"{short_commit(commit)}:{path}"
    files = await _files(git, label, await _select(git, label, commit, path))
    return Source(label, files, Path("/"), is_in_repository=True)


async def _select(
    git: Git, label: str, commit: str, path: str
) -> list[tuple[str, _Entry]]:
    """Return the names and the entries of the files at *path* in *commit*."""
    tree = commit
    if path:
        entry = await _at(git, commit, path)
        if entry is None:
            raise _refused(label, f"is not in commit {short_commit(commit)}")
        if entry.mode != _TREE:
            return [(label, entry)]
        tree = entry.id
    prefix = f"{label}/" if path else label
    entries = sorted(await _entries(git, tree), key=attrgetter("name"))
    selection = [
        (f"{prefix}{_printable(one.name)}", one) for one in entries if is_read(one.name)
    ]
    if not selection:
        raise _refused(label, NO_FILES)
    return selection


async def _at(git: Git, commit: str, path: str) -> _Entry | None:
    """Return the entry at *path* of *commit*; None if there is none.

    Nothing is behind a symbolic link.
    """
    tree = commit
    *folders, name = path.split("/")
    for folder in folders:
        entry = _find(await _entries(git, tree), folder)
        if entry is None or entry.mode != _TREE:
            return None
        tree = entry.id
    return _find(await _entries(git, tree), name)


def _find(entries: Sequence[_Entry], name: str) -> _Entry | None:
    return next((one for one in entries if one.name == name), None)


async def _entries(git: Git, tree: str) -> list[_Entry]:
    output = await git("ls-tree", "-z", "--long", "--full-tree", tree)
    return list(_parsed(output))


def _parsed(output: bytes) -> Iterator[_Entry]:
    for line in output.split(b"\0")[:-1]:
        about, _, name = line.partition(b"\t")
        mode, _, id_, size = about.decode().split()
        length = 0 if size == "-" else int(size)
        yield _Entry(name.decode("utf-8", "backslashreplace"), mode, id_, length)


def _printable(name: str) -> str:
    """Return *name* for terminals and logs, with escaped control characters."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode()
        for one in name
    )


async def _files(
    git: Git, label: str, selection: Sequence[tuple[str, _Entry]]
) -> tuple[SourceFile, ...]:
    """Return the files of *selection*; raise ConfigError with all that cannot be read."""
    problems: list[Problem] = []
    remaining = MAX_BYTES
    for name, entry in selection:
        if entry.mode not in _FILES:
            message = _OTHERS.get(
                entry.mode, "is a directory: rename it, so that it does not end in .yml"
            )
            problems.append(Problem(0, "", message, name))
            continue
        remaining -= entry.size
        if remaining < 0:
            problems.append(Problem(0, "", TOO_LARGE, name))
            break
    if problems:
        raise ConfigError(label, problems)
    texts: list[SourceFile] = []
    blobs = await _blobs(git, [entry for _, entry in selection])
    for (name, _), blob in zip(selection, blobs, strict=True):
        try:
            texts.append(SourceFile(name, decoded(blob, name)))
        except ConfigError as error:
            problems += in_files(error)
    if problems:
        raise ConfigError(label, problems)
    return tuple(texts)


async def _blobs(git: Git, entries: Sequence[_Entry]) -> list[bytes]:
    """Return the contents of *entries*."""
    ids = "".join(f"{one.id}\n" for one in entries)
    # A line with the id, type and size is before each.
    most = sum(one.size + 100 for one in entries)
    output = await git("cat-file", "--batch", stdin=ids.encode(), most=most)
    blobs: list[bytes] = []
    at = 0
    for entry in entries:
        end = output.find(b"\n", at)
        if output[at:end].split() != [entry.id.encode(), b"blob", b"%d" % entry.size]:
            raise GitError(f"object {entry.id} of the cached repository is missing")
        blobs.append(output[end + 1 : end + 1 + entry.size])
        at = end + entry.size + 2
    return blobs


def _refused(label: str, message: str) -> ConfigError:
    return ConfigError(label, [Problem(0, "", message)])
