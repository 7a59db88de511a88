"""Flags that name a repository: usable, or refused without showing a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.errors import GitError
from afterrun_exporter.git.remote import (
    MAX_TOKEN,
    Remote,
    checked_path,
    checked_ref,
    checked_url,
    read_token,
)


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("https://git.example/team/jobs.git", None),
        ("http://localhost:3000/jobs", None),
        ("https://[::1]:8443/jobs", None),
        ("file:///srv/jobs.git", None),
        ("/srv/jobs.git", "file:///srv/jobs.git"),
    ],
)
def test_urls_of_http_and_of_files_are_usable(url: str, result: str | None) -> None:
    assert checked_url(url) == (result or url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://me:s3cret@git.example/jobs", "use --config.git-token-file"),
        ("https://s3cret@git.example/jobs", "use --config.git-token-file"),
        ("https://git.example/jobs?private_token=s3cret", "query or fragment"),
        ("https://git.example/jobs#s3cret", "query or fragment"),
        ("git@git.example:s3cret/jobs.git", "ssh, which is not supported: use https"),
        ("ssh://git@git.example/s3cret", "ssh, which is not supported: use https"),
        ("ssh://git.example/jobs", "ssh, which is not supported: use https"),
        ("ext::sh -c touch% /tmp/x", "does not begin with"),
        ("--upload-pack=touch", "does not begin with"),
        ("jobs.git", "does not begin with"),
        ("", "does not begin with"),
        ("https://", "has no host name"),
        ("https://git.example:port/", "is not a URL"),
        ("https://[git.example/", "is not a URL"),
        ("https://git.example/a b", "%20"),
        ("https://git.example/a\x00b", "control character"),
        ("file://host/srv", "absolute path"),
    ],
)
def test_other_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"--config\.git-url") as refused:
        checked_url(url)

    assert message in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "ref", ["HEAD", "main", "release/1.x", "v1.2", "refs/heads/a", "0" * 40, "ä"]
)
def test_refs_are_names(ref: str) -> None:
    assert checked_ref(ref) == ref


BAD_REFS = """
    -x a..b a:b +a a~1 a^ a* @{-1} @ a.lock a/ /a a//b .a a. a\\b a[b a?
"""


@pytest.mark.parametrize("ref", ["", "a b", "a\n", *BAD_REFS.split()])
def test_other_refs_are_refused(ref: str) -> None:
    with pytest.raises(ValueError, match=r"--config\.git-ref"):
        checked_ref(ref)


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("afterrun.yml", "afterrun.yml"),
        ("./conf//jobs/", "conf/jobs"),
        (".", ""),
        ("", ""),
        ("a..b/c", "a..b/c"),
    ],
)
def test_paths_start_at_the_repository(path: str, result: str) -> None:
    assert checked_path(path) == result


@pytest.mark.parametrize(
    "path", ["/etc", "..", "a/../b", "../x", ".git/config", "a\nb"]
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"--config\.git-path"):
        checked_path(path)


@given(st.text(st.sampled_from("a./\\-g it"), max_size=12))
def test_no_path_leaves_the_repository(path: str) -> None:
    try:
        parts = checked_path(path).split("/")
    except ValueError:
        return
    assert not {"..", ".", ".git"} & set(parts)


def remote(file: Path) -> Remote:
    return Remote(url="https://git.example/jobs", token_file=file)


def test_a_token_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")

    assert read_token(remote(file)) == "s3cret"
    assert read_token(Remote(url="https://git.example/jobs")) == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"s3cret one", "has no token"),
        (b"s3cret\nHost: x", "has no token"),
        (b"s3cret\xe9", "has no token"),
        (b"s3cret" + b"x" * MAX_TOKEN, "has no token"),
    ],
)
def test_a_file_without_a_token_is_refused(
    tmp_path: Path, data: bytes, message: str
) -> None:
    """By its name; what is in it may be a secret."""
    file = tmp_path / "token"
    file.write_bytes(data)

    with pytest.raises(GitError, match=message) as refused:
        read_token(remote(file))

    assert str(file) in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_token_is_not_read_from_a_directory_or_from_nowhere(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="is not a regular file"):
        read_token(remote(tmp_path))
    with pytest.raises(GitError, match="cannot be read: No such file"):
        read_token(remote(tmp_path / "absent"))
