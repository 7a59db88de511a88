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


def in_words(line: str) -> str:
    """Return *line* without code and the addresses of links."""
    return re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", " ", line)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_line_of_prose_is_longer_than_a_screen_is_wide(path: Path) -> None:
    """Each sentence or clause has its own line, so that a diff shows what changed."""
    long = [
        f"{path.name}:{number}"
        for number, line in prose(path)
        if len(line) > LONGEST and not re.fullmatch(r"\S+", line.strip())
    ]

    assert long == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_each_sentence_has_its_own_line(path: Path) -> None:
    sentence_end = re.compile(r"[a-z)*]\.[)*]* +[A-Z*(]")
    crowded = [
        f"{path.name}:{number}"
        for number, line in prose(path)
        if sentence_end.search(in_words(line))
    ]

    assert crowded == []


#: Words of another register than that of a manual, and names of parts of the code.
AVOIDED = re.compile(
    r"""\b(
        whoever|whomever|whatever|nobody|somebody|everybody|anybody
        |lest|besides|for\ ever|but\ for|of\ ours|as\ ever|as\ it\ is|all\ that\ there\ is
        |mend(?:s|ed|ing)?|may\ not|com(?:e|es|ing)\ to|came\ to
        |(?:is|are|was|were)\ to\ [a-z]+|(?:is|are|was|were)\ taken
        |stand(?:s|ing)?\ (?:in|there)|there\ (?:is|are)\ none
        |say(?:s|ing)?|said|tell(?:s|ing)?|told|let(?:s|ting)?
        |look(?:s|ed|ing)?\ (?:at|for)|tak(?:e|es|ing)\ (?:a|the|their|its|it|them)
        |the\ judge|desk|courier|errand|intake|crowd|roster|strangers
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)


def table_rows(path: Path) -> Iterator[tuple[int, str]]:
    lines = enumerate(path.read_text("utf-8").splitlines(), start=1)
    return ((number, line) for number, line in lines if line.startswith("|"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_use_the_words_of_the_field(path: Path) -> None:
    """The glossary has the terms; these have plainer or more exact replacements."""
    lines = [*prose(path), *table_rows(path)]
    found = [
        f"{path.name}:{number}: {match[0]}"
        for number, line in sorted(lines)
        for match in AVOIDED.finditer(in_words(line))
    ]

    assert found == []
