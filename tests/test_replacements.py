"""Copies with changed fields name fields that exist.

mypy does not check the keywords of `msgspec.structs.replace`, so it misses the one that
a renaming forgot.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import afterrun_exporter

ROOT = Path(afterrun_exporter.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
#: The modules whose `replace` copies an object.
COPYING = {"copy", "dataclasses", "msgspec.structs"}


def fields(tree: ast.AST) -> Iterator[str]:
    """Yield the annotated fields of every class in *tree*."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(
                    line.target, ast.Name
                ):
                    yield line.target.id


def copies(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls in *tree* that copy an object with changed fields."""
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in COPYING
        for alias in node.names
        if alias.name == "replace"
    }
    modules = {one.rpartition(".")[2] for one in COPYING}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in names:
                yield node
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id=name) | ast.Attribute(attr=name), attr="replace"
                )
            ) if name in modules:
                yield node


def keywords(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each changed field, also of `**changes`."""
    collected: set[str] = set()
    for call in copies(tree):
        for keyword in call.keywords:
            if keyword.arg is not None:
                yield keyword.value.lineno, keyword.arg
            elif isinstance(keyword.value, ast.Name):
                collected.add(keyword.value.id)
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(
                value=ast.Name(id=name), slice=ast.Constant(value=str(key))
            ) if name in collected:
                yield node.lineno, key


def test_a_copy_changes_fields_that_exist() -> None:
    known: set[str] = set()
    changed: list[tuple[str, int, str]] = []
    for module in MODULES:
        text = module.read_text("utf-8")
        is_copying = "replace" in text
        if is_copying or "class " in text:
            tree = ast.parse(text)
            known |= {*fields(tree)}
            if is_copying:
                where = str(module.relative_to(ROOT))
                changed += [(where, line, name) for line, name in keywords(tree)]

    assert len(changed) > 100
    assert [one for one in changed if one[2] not in known] == []


@pytest.mark.parametrize(
    "text",
    [
        "from msgspec.structs import replace\nreplace(run, at=1)",
        "from dataclasses import replace as copy_of\ncopy_of(run, at=1)",
        "import msgspec\nmsgspec.structs.replace(run, at=1)",
        "from msgspec import structs\nstructs.replace(run, at=1)",
        "import copy\ncopy.replace(run, at=1)",
        "from copy import replace\nchanges['at'] = 1\nreplace(run, **changes)",
    ],
)
def test_every_way_to_write_a_copy_is_read(text: str) -> None:
    assert [name for _, name in keywords(ast.parse(text))] == ["at"]


def test_texts_are_replaced_as_before() -> None:
    assert not [*keywords(ast.parse("name.replace(old, new, count=1)"))]
