"""The style of the documents: short lines, and the words of the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LONGEST = 120


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of *path* outside code blocks and tables."""
    fenced = False
    after_blank = True
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        text = line.strip()
        if text.startswith("```"):
            fenced = not fenced
        indented_code = line.startswith("    ") and after_blank
        if not fenced and not indented_code and not text.startswith(("```", "|")):
            yield number, line
        after_blank = not text or indented_code


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_line_of_prose_is_longer_than_a_screen_is_wide(path: Path) -> None:
    """Each sentence or clause has its own line, so that a diff shows what changed."""
    long = [
        f"{path.name}:{number}"
        for number, line in prose(path)
        if len(line) > LONGEST and not re.fullmatch(r"\S+", line.strip())
    ]

    assert long == []
