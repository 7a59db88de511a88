"""Files that cannot be read, and problems in them: each is a configuration error."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter.config import (
    load,
    parse,
    read_text,
)
from afterrun_exporter.errors import ConfigError
from tests.config.test_parse import GOOD


def test_a_file_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    """It names the file and says what the system says."""
    with pytest.raises(ConfigError, match=r"absent\.yml.*No such file or directory"):
        load(tmp_path / "absent.yml")


def test_a_file_that_is_not_utf_8_is_a_config_error(tmp_path: Path) -> None:
    """With the line, so that the character can be found."""
    path = tmp_path / "latin1.yml"
    path.write_bytes(b"jobs:\n  backup:\n    description: caf\xe9\n")

    with pytest.raises(ConfigError, match=r"latin1\.yml:3: not UTF-8: byte 0xe9"):
        load(path)


def test_an_enormous_file_is_a_config_error(tmp_path: Path) -> None:
    """Reading stops at a limit: /dev/zero does not eat the memory."""
    path = tmp_path / "image.yml"
    with path.open("wb") as file:
        file.truncate(2**30)

    with pytest.raises(ConfigError, match=r"image\.yml.*larger than 128MiB"):
        load(path)


def test_the_text_of_a_file_is_what_is_parsed() -> None:
    """A byte order mark, which some editors add, is not part of it."""
    assert read_text(GOOD / "byte_order_mark.yml").startswith("jobs:")


def test_a_problem_inside_an_alias_is_shown_where_it_is_used() -> None:
    """There may be many of them; each says which job it is of."""
    text = "jobs:\n  a: {rules: &r [rows]}\n  b:\n    rules: *r\n"

    with pytest.raises(ConfigError) as caught:
        parse(text)

    assert [(p.line, p.path) for p in caught.value.problems] == [
        (2, "jobs.a.rules[0]"),
        (4, "jobs.b.rules[0]"),
    ]
