"""URLs of databases: readable or refused, and no text has a password."""

from __future__ import annotations

import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.location import DatabaseUrl, is_url, parse_url

#: It is long and odd, so that no other text has a part of it by chance.
SECRET = "s3cr3tXq"  # noqa: S105
SHOWN = "postgresql://a@db/x"


@pytest.mark.parametrize(
    ("text", "has_password"),
    [
        ("postgresql://a@db.example/x", False),
        ("postgresql://a:s3cr3tXq@one:5432,two:5433/x?target_session_attrs=any", True),
        ("postgresql://db/x?user=a&password=s3cr3tXq", True),
    ],
)
def test_a_url_is_shown_without_its_password(text: str, has_password: bool) -> None:
    url = parse_url(text)

    assert SECRET not in f"{url}{url!r}"
    assert url.has_password == has_password


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql:a:{SECRET}@db/x",
        f"postgres:/a:{SECRET}@db/x",
        f"postgresq://a:{SECRET}@db/x",
        f"postgresql+asyncpg://a:{SECRET}@db/x",
        f"mysql://a:{SECRET}@db/x",
        f"postgresql://a:{SECRET}@db:port/x",
        f"postgresql://a:{SECRET}@[::1/x",
        f"postgresql://a:{SECRET}/b@db/x",
        f"postgresql://a:12/{SECRET}@db/x",
        f"postgresql://a:{SECRET}#b@db/x",
        f"postgresql://a:{SECRET}?b@db/x",
    ],
)
def test_another_url_is_refused_without_showing_it(text: str) -> None:
    assert is_url(text)

    with pytest.raises(ValueError, match=r"no URL like|cannot use database") as it:
        parse_url(text)

    assert SECRET not in "".join(traceback.format_exception(it.value))


@pytest.mark.parametrize(
    "text", ["afterrun.db", "/var/lib/a.db", "./a:b", "C:x", "a b"]
)
def test_a_path_is_no_url(text: str) -> None:
    assert not is_url(text)


@given(before=st.text(max_size=5), after=st.text(max_size=5), plain=st.booleans())
def test_no_password_is_shown(before: str, after: str, plain: bool) -> None:
    """With special characters percent-encoded, or not."""
    password = f"{before}{SECRET}{after}"
    written = password if plain else quote(password, safe="")
    problem = ""
    try:
        url = parse_url(f"postgresql://a:{written}@db/x")
    except ValueError as error:
        problem = str(error)
    else:
        assert str(url) == SHOWN
        assert SECRET not in repr(url)

    assert SECRET not in problem
    assert plain or not problem


def test_a_password_file_is_read_each_time(tmp_path: Path) -> None:
    """So it can be rotated."""
    file = tmp_path / "password"
    url = parse_url("postgresql://a@db/x", file)
    for content, password in (("one\n", "one"), ("two", "two"), (" 3 \r\n", " 3 ")):
        file.write_text(content, "utf-8")

        assert url.password() == password

    assert DatabaseUrl("postgresql://a@db/x").password() is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read the password file '{}': No such file or directory"),
        (b"", "the password file '{}' is empty"),
        (b"\n", "the password file '{}' is empty"),
        (b"\xff", "the password file '{}' is not UTF-8"),
    ],
)
def test_a_password_file_without_a_password_is_refused(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(StorageError) as it:
        parse_url("postgresql://a@db/x", file).password()

    assert str(it.value) == reason.format(file)


def test_two_passwords_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is another one: use one of them") as it:
        parse_url(f"postgresql://a:{SECRET}@db/x", tmp_path / "password")

    assert SECRET not in str(it.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("a\nb\n", "has several lines: write the password alone into it"),
        ("\na\n", "has several lines: write the password alone into it"),
    ],
)
def test_a_password_file_has_one_line(
    tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    url = parse_url("postgresql://a@db/x", file)

    with pytest.raises(StorageError) as refusal:
        url.password()

    assert str(refusal.value) == f"the password file {str(file)!r} {problem}"
