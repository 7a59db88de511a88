"""A followed ref is fetched, and its files are read from the commit alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import uvloop

from afterrun_exporter.config.source import MAX_BYTES
from afterrun_exporter.errors import ConfigError, GitError
from afterrun_exporter.git import process
from afterrun_exporter.git.remote import Remote
from afterrun_exporter.git.repository import MAX_PACKS, Repository
from tests.e2e.network import wait_for
from tests.git.repositories import Origin, git
from tests.patience import PATIENCE

#: Real git, in many processes.
pytestmark = pytest.mark.thorough

JOBS = "jobs: {backup: {every: 1h}}\n"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.create(tmp_path / "origin")


class Follower:
    """A cached repository in the directory of a test."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder, self.origin = folder, origin

    async def __call__(
        self, ref: str = "main", path: str = "afterrun.yml", url: str = ""
    ) -> Repository:
        remote = Remote(url=url or self.origin.url, ref=ref, path=path)
        repository = Repository(self.folder / "cache", remote, PATIENCE)
        await repository.open()
        return repository

    async def texts(self, path: str) -> dict[str, str]:
        """Fetch, and return the texts of the files at *path*."""
        repository = await self(path=path)
        commit = await repository.fetch("")
        made = await repository.source(commit)
        assert made.name == f"{commit[:12]}:{path}"
        names = (file.name.partition(":") for file in made.files)
        return {
            name: file.text
            for (_, _, name), file in zip(names, made.files, strict=True)
        }

    async def problems(self, path: str) -> list[str]:
        with pytest.raises(ConfigError) as refused:
            await self.texts(path)
        lines = str(refused.value).splitlines()
        return [line.partition(":")[2] for line in lines]


@pytest.fixture
def follower(tmp_path: Path, origin: Origin) -> Follower:
    return Follower(tmp_path, origin)


async def test_a_file_of_the_newest_commit_is_read(
    follower: Follower, origin: Origin
) -> None:
    origin.commit({"afterrun.yml": "jobs: {}\n"})
    origin.commit({"afterrun.yml": JOBS, "other.yml": "{"})

    assert await follower.texts("afterrun.yml") == {"afterrun.yml": JOBS}


async def test_a_directory_is_read_as_on_a_disk(
    follower: Follower, origin: Origin
) -> None:
    names = (
        "conf/b.yml",
        "conf/a.yaml",
        "conf/.c.yml",
        "conf/README.md",
        "conf/d/e.yml",
    )
    origin.commit({name: f"# {name}\n" for name in names})
    origin.commit({"z.yml": JOBS})

    assert await follower.texts("conf") == {
        "conf/a.yaml": "# conf/a.yaml\n",
        "conf/b.yml": "# conf/b.yml\n",
    }
    assert await follower.texts("") == {"z.yml": JOBS}


@pytest.mark.parametrize("ref", ["main", "HEAD", "v1", "annotated", "refs/heads/main"])
async def test_any_name_of_a_commit_can_be_followed(
    follower: Follower, origin: Origin, ref: str
) -> None:
    commit = origin.commit({"afterrun.yml": JOBS})
    git(origin.folder, "tag", "v1")
    git(origin.folder, "tag", "--annotate", "--message", "x", "annotated")

    assert await (await follower(ref)).fetch("") == commit


async def test_so_can_a_commit_itself(follower: Follower, origin: Origin) -> None:
    commit = origin.commit({"afterrun.yml": JOBS})
    origin.commit({"afterrun.yml": "jobs: {}"})

    assert await (await follower(commit)).fetch("") == commit


async def test_a_forced_push_is_followed(follower: Follower, origin: Origin) -> None:
    origin.commit({"afterrun.yml": JOBS})
    repository = await follower()
    before = await repository.fetch("")
    after = origin.commit({"afterrun.yml": "jobs: {}\n"}, amend=True)

    assert await repository.fetch("") == after != before


async def test_a_deleted_branch_is_an_error_and_what_was_fetched_stays(
    follower: Follower, origin: Origin
) -> None:
    commit = origin.commit({"afterrun.yml": JOBS})
    repository = await follower()
    await repository.keep(await repository.fetch(""))
    git(origin.folder, "branch", "--move", "main", "other")

    with pytest.raises(GitError, match="has no branch, tag or commit 'main'"):
        await repository.fetch("")
    assert await repository.good() == commit
    assert (await repository.source(commit)).files[0].text == JOBS


async def test_an_empty_repository_is_an_error(follower: Follower) -> None:
    with pytest.raises(GitError, match="has no branch, tag or commit 'HEAD'"):
        await (await follower("HEAD")).fetch("")


async def test_a_tag_of_something_else_is_an_error(
    follower: Follower, origin: Origin
) -> None:
    origin.commit({"afterrun.yml": JOBS})
    git(origin.folder, "tag", "blob", "HEAD:afterrun.yml")

    with pytest.raises(GitError, match="blob"):
        await (await follower("blob")).fetch("")


async def test_a_repository_that_is_not_there_is_an_error(
    follower: Follower, tmp_path: Path
) -> None:
    repository = await follower(url=f"file://{tmp_path}/absent")

    with pytest.raises(
        GitError, match=r"absent cannot be fetched: .*absent.* does not"
    ):
        await repository.fetch("")


async def test_nothing_leads_out_of_the_commit(
    follower: Follower, origin: Origin, tmp_path: Path
) -> None:
    (tmp_path / "secret.yml").write_text("outside: true\n")
    link = "is a symbolic link, which is not followed: use the file itself"
    conf = origin.folder / "conf"
    conf.mkdir()
    (conf / "a.yml").symlink_to(tmp_path / "secret.yml")
    (conf / "b.yml").symlink_to("/dev/zero")
    (origin.folder / "afterrun.yml").symlink_to("conf/a.yml")
    (origin.folder / "linked").symlink_to(tmp_path)
    origin.commit({"conf/c.yml": JOBS})

    assert await follower.problems("afterrun.yml") == [f"afterrun.yml: {link}"]
    assert await follower.problems("conf") == [
        f"conf/a.yml: {link}",
        f"conf/b.yml: {link}",
    ]
    absent = await follower.problems("linked/secret.yml")
    assert "is not in commit" in absent[0]


async def test_a_tree_with_dangerous_names_is_harmless(
    follower: Follower, origin: Origin
) -> None:
    """Git itself refuses such trees only where it checks them out."""
    blob = git(origin.folder, "hash-object", "-w", "--stdin", text="outside: true\n")
    inner = git(
        origin.folder, "mktree", "--missing", text=f"100644 blob {blob}\tb.yml\n"
    )
    lines = f"040000 tree {inner}\t..\n100644 blob {blob}\ta.yml\n"
    tree = git(origin.folder, "mktree", text=lines)
    commit = git(origin.folder, "commit-tree", tree, "-m", "x")
    git(origin.folder, "update-ref", "refs/heads/main", commit)

    assert [*await follower.texts("")] == ["a.yml"]


async def test_what_is_no_file_is_named(follower: Follower, origin: Origin) -> None:
    origin.commit({"conf/a.yml/b": "x", "conf/c.yml": JOBS})
    commit = git(origin.folder, "rev-parse", "HEAD")
    entry = f"160000,{commit},conf/d.yml"
    git(origin.folder, "update-index", "--add", "--cacheinfo", entry)
    origin.commit_index()

    assert await follower.problems("conf") == [
        "conf/a.yml: is a directory: rename it, so that it does not end in .yml",
        "conf/d.yml: is a submodule, which is not read",
    ]
    assert "is not in commit" in (await follower.problems("absent.yml"))[0]
    assert "has no *.yml files" in (await follower.problems("conf/a.yml"))[0]


async def test_texts_that_are_none_are_named(
    follower: Follower, origin: Origin
) -> None:
    conf = origin.folder / "conf"
    conf.mkdir()
    (conf / "a.yml").write_bytes(b"jobs: {}\n# \xe9\n")
    (conf / "b.yml").write_bytes(b"\n\xff")
    origin.commit({})

    assert await follower.problems("conf") == [
        "conf/a.yml:2: not UTF-8: byte 0xe9",
        "conf/b.yml:2: not UTF-8: byte 0xff",
    ]


async def test_a_file_that_is_too_large_is_not_read(
    follower: Follower, origin: Origin
) -> None:
    with (origin.folder / "afterrun.yml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    origin.commit({})

    assert await follower.problems("afterrun.yml") == [
        "afterrun.yml: larger than 128MiB"
    ]


async def test_a_repository_that_is_too_large_is_not_fetched(
    follower: Follower, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    (origin.folder / "noise").write_bytes(os.urandom(3 * 2**20))
    origin.commit({"afterrun.yml": JOBS})
    monkeypatch.setattr(process, "MAX_REPOSITORY", 2**20)

    with pytest.raises(GitError, match="the repository is larger than 1 MiB"):
        await (await follower()).fetch("")


async def test_what_a_killed_fetch_left_does_not_stop_the_next(
    follower: Follower, origin: Origin, tmp_path: Path
) -> None:
    commit = origin.commit({"afterrun.yml": JOBS})
    repository = await follower()
    bare = tmp_path / "cache" / "repository.git"
    key = repository.remote.key
    (bare / "refs/afterrun" / key).mkdir(parents=True)
    (bare / "objects/pack").mkdir(exist_ok=True)
    left = (
        "shallow.lock",
        "config.lock",
        f"refs/afterrun/{key}/fetched.lock",
        "objects/pack/tmp_pack_x",
    )
    for name in left:
        (bare / name).write_text("")

    assert await repository.fetch("") == commit
    assert not [name for name in left if (bare / name).exists()]


async def test_the_cache_does_not_grow_with_every_commit(
    follower: Follower, origin: Origin, tmp_path: Path
) -> None:
    repository = await follower()
    for number in range(MAX_PACKS + 2):
        commit = origin.commit({"afterrun.yml": f"# {number}\n{JOBS}"})
        await repository.keep(await repository.fetch(""))

    packs = tmp_path / "cache" / "repository.git" / "objects" / "pack"
    assert len([*packs.glob("*.pack")]) < MAX_PACKS
    assert (await repository.source(commit)).files[0].text.endswith(JOBS)


async def test_the_good_commit_of_another_remote_is_not_used(
    follower: Follower, origin: Origin
) -> None:
    origin.commit({"afterrun.yml": JOBS})
    repository = await follower()
    await repository.keep(await repository.fetch(""))

    assert await (await follower()).good() is not None
    assert await (await follower("HEAD")).good() is None
    assert await (await follower(path="conf")).good() is None


async def test_settings_of_the_machine_and_of_the_user_do_not_count(
    follower: Follower,
    origin: Origin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither can a variable of a shell point git to another repository."""
    commit = origin.commit({"afterrun.yml": JOBS})
    config = tmp_path / "gitconfig"
    config.write_text(f'[url "file:///absent"]\n  insteadOf = {origin.url}\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))

    assert await (await follower()).fetch("") == commit
    assert not (tmp_path / "trace").exists()


async def test_git_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    program = tmp_path / "git"
    pid = tmp_path / "pid"
    program.write_text(f"#!/bin/sh\nsleep 3600 & echo $! > {pid}; wait\n")
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    pid.write_text("")
    # On a busy machine it may be killed before it has a child.
    for doublings in range(9):
        seconds = 2 * 2**doublings
        with pytest.raises(GitError, match=rf"git did not finish within {seconds} s"):
            await process.run(["fetch"], environ, seconds=seconds)
        if pid.read_text():
            break
    # A killed process ends when it is scheduled.
    assert wait_for(lambda: not alive(int(pid.read_text())))


def alive(pid: int) -> bool:
    """Return True if the process *pid* runs; one that ended may wait for its parent."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except FileNotFoundError:
        return False


async def test_without_git_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="git"):
        await process.run(["version"], {"PATH": str(tmp_path)}, seconds=PATIENCE)


@pytest.mark.parametrize("stdin", [b"", b"x" * 2**20])
def test_the_event_loop_of_the_daemon_runs_git(stdin: bytes) -> None:
    """Also if git ends without reading, in which uvloop differs."""

    async def often() -> set[bytes]:
        environ = dict(os.environ)
        return {
            await process.run(["version"], environ, seconds=PATIENCE, stdin=stdin)
            for _ in range(5)
        }

    (version,) = uvloop.run(often())

    assert version.startswith(b"git version")


async def test_output_has_a_limit() -> None:
    with pytest.raises(GitError, match="git wrote more than 3 bytes"):
        await process.run(["version"], dict(os.environ), seconds=PATIENCE, most=3)
