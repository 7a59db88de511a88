"""Reading a configuration as it is committed in the repository around it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from afterrun_exporter.config.source import Source
from afterrun_exporter.errors import GitError
from afterrun_exporter.git import process, tree
from afterrun_exporter.git.remote import checked_ref

#: Seconds for a command.
SECONDS = 60.0


async def committed(path: Path, ref: str) -> Source:
    """Return the configuration at *path* in the commit *ref* of the repository around it.

    It is read as a daemon that follows the repository reads it. Raises ConfigError and
    GitError, and ValueError if *ref* is not the name of a commit.
    """
    checked_ref(ref)
    place = path.parent.resolve() / path.name
    folder = next(one for one in (place, *place.parents) if one.is_dir())
    with TemporaryDirectory(prefix="afterrun-git-") as home:
        (Path(home) / "gitconfig").write_text(process.CONFIG)
        environ = process.environment(Path(home), {})
        run = partial(_run, folder, environ)
        top = Path(_text(await run("rev-parse", "--show-toplevel")))
        name = "" if place == top else place.relative_to(top).as_posix()
        peeled = f"{ref}^{{commit}}"
        commit = await run("rev-parse", "--verify", "--end-of-options", peeled)
        return await tree.source(run, _text(commit), name)


async def _run(
    folder: Path,
    environ: dict[str, str],
    *arguments: str,
    stdin: bytes = b"",
    most: int = process.MAX_OUTPUT,
) -> bytes:
    line = ["-C", str(folder), *arguments]
    try:
        return await process.run(line, environ, seconds=SECONDS, stdin=stdin, most=most)
    except GitError as error:
        raise GitError(f"{folder}: {error}") from None


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape").removesuffix("\n")
