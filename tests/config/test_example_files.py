"""Every file under configs/ is what its folder says it is.

A bad file opens with the messages it must produce, no more and no fewer. A new
mistake to catch is a new file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter.config import load
from afterrun_exporter.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "tests" / "configs"
GOOD_FILES = sorted((CONFIGS / "good").glob("*.yml"))
BAD_FILES = sorted((CONFIGS / "bad").glob("*.yml"))

_PROMISE = "# error: "


def _stem(path: Path) -> str:
    return path.stem


def promised(path: Path) -> list[str]:
    return [
        line.removeprefix(_PROMISE)
        for line in path.read_text(encoding="utf-8").split("\n")
        if line.startswith(_PROMISE)
    ]


@pytest.mark.parametrize("path", BAD_FILES, ids=_stem)
def test_a_bad_file_says_what_its_first_lines_promise(path: Path) -> None:
    """The messages are exact: users read them, and scripts may."""
    with pytest.raises(ConfigError) as caught:
        load(path)

    assert [str(problem) for problem in caught.value.problems] == promised(path)


@pytest.mark.parametrize("path", BAD_FILES, ids=_stem)
def test_each_problem_is_one_line_that_an_editor_can_jump_to(path: Path) -> None:
    """`file:line: ...`, once per problem."""
    with pytest.raises(ConfigError) as caught:
        load(path)

    lines = str(caught.value).split("\n")
    assert lines == [f"{path}:{promise}" for promise in promised(path)]


@pytest.mark.parametrize(
    "path", [*GOOD_FILES, ROOT / "afterrun.yml"], ids=lambda path: path.stem
)
def test_a_good_file_loads(path: Path) -> None:
    """Nothing is refused that should not be."""
    load(path)


def test_the_folders_are_not_empty() -> None:
    """A walk over nothing would be green."""
    assert len(GOOD_FILES) > 10
    assert len(BAD_FILES) > 60
