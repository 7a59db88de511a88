"""Names and docstrings are plain: nouns for things, verbs for functions."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import afterrun_exporter

ROOT = Path(afterrun_exporter.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

#: A docstring names the thing, or says what the function does.
UNCLEAR: Final = re.compile(
    r"(What|Who|Whose|Whom|Which|Whether|How|When|Where|Why)\b"
    r"|(Return|Yield) (what|who|whose|whom|which|whether|how|when|where|why)\b"
)
#: Participles that do not say which thing they stand for.
_WORDS: Final = """
    answered asked begun brought came chosen counted done drawn ended followed
    found gathered given gone heard held kept known left let listed lost made meant
    noted opened said seen sent served shown spoken started stood stored taken
    thought told tried turned wanted went written
"""
PARTICIPLES: Final = frozenset(_WORDS.split())
#: Names that are the standard term where they stand, as "module: name".
ALLOWED: Final[frozenset[str]] = frozenset(
    {
        # Fields of the HTTP API.
        "api/backtest_models.py: said",
        "api/backtest_models.py: tried",
    }
)
#: How many are left to reword in a folder. A number never grows.
LEFT_DOCSTRINGS: Final[dict[str, int]] = {}
LEFT_NAMES: Final[dict[str, int]] = {}


def folder(module: Path) -> str:
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def docstrings(module: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every docstring in *module*."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text


def bound_names(module: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of every variable, parameter and field in *module*."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name


def unclear_docstrings() -> list[tuple[str, str]]:
    return [
        (folder(module), f"{module.relative_to(ROOT)}:{line}: {text.splitlines()[0]}")
        for module in MODULES
        for line, text in docstrings(module)
        if UNCLEAR.match(text)
    ]


def bare_participles() -> list[tuple[str, str]]:
    return [
        (folder(module), f"{module.relative_to(ROOT)}:{line}: {name}")
        for module in MODULES
        for line, name in bound_names(module)
        if name.strip("_") in PARTICIPLES
        and f"{module.relative_to(ROOT)}: {name}" not in ALLOWED
    ]


@pytest.mark.parametrize(
    ("found", "left"),
    [
        pytest.param(unclear_docstrings(), LEFT_DOCSTRINGS, id="docstrings"),
        pytest.param(bare_participles(), LEFT_NAMES, id="names"),
    ],
)
def test_words_are_plain(found: list[tuple[str, str]], left: dict[str, int]) -> None:
    count = Counter(where for where, _ in found)
    new = [text for where, text in found if count[where] > left.get(where, 0)]

    assert not new, "\n".join(new)


if __name__ == "__main__":
    both = unclear_docstrings(), bare_participles()
    lines = [f"{where} {text}\n" for kind in both for where, text in kind]
    counts = [dict(sorted(Counter(one for one, _ in kind).items())) for kind in both]
    sys.stdout.write("".join(lines) + "".join(f"{count}\n" for count in counts))
