"""A YAML writer with the output of PyYAML's, at a tenth of its CPU time.

PyYAML still writes every scalar that may need quotes or more than one line, and
documents with aliases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import yaml

#: The column at which PyYAML breaks lines.
WIDTH: Final = 100

#: Text that needs no quotes, unless it is one of `_WORDS`.
_PLAIN: Final = re.compile(
    r"""[a-z/](?:[\w./="@-]|:(?=[\w/]))*(?:[ ](?:[\w./="@-]|:(?=[\w/]))+)*""",
    re.ASCII | re.IGNORECASE,
)
#: Text that YAML reads as a boolean or as null.
_WORDS: Final = frozenset({"yes", "no", "true", "false", "on", "off", "null"})

#: The end of a document whose last text ends with empty lines.
_END: Final = "\n...\n"

_BREAKS: Final = re.compile("[\n\r\x85\u2028\u2029]")

#: Scalars in each cache.
REMEMBERED: Final = 4096

#: Characters of the longest scalar that is cached, to bound the memory of the caches.
LONGEST: Final = 256


class Constant(dict[str, Any]):
    """A mapping that does not change any more, and whose text is cached.

    It is written without aliases.
    """

    __slots__ = ("_texts",)

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self._texts: dict[int, str] = {}

    def item(self, indent: int) -> str:
        """Return the text as an item of a list, without the indent of the first line."""
        if indent not in self._texts:
            self._texts[indent] = "".join(_entries(self, indent + 2, "- "))
        return self._texts[indent]


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, with literal blocks and indented lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        return super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Constant, _Dumper.represent_dict)


def dump(data: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return *data* as YAML, in its own order.

    A list or mapping that is in *data* several times is written once, with aliases.
    """
    if not data or type(data) not in {dict, list} or _needs_aliases(data, set()):
        return _dump(data)
    return "".join(_entries(data, 0, ""))


def _needs_aliases(node: Any, visited: set[int]) -> bool:
    kind = type(node)
    if kind is not dict and kind is not list:
        return False
    if id(node) in visited:
        return True
    visited.add(id(node))
    return any(
        _needs_aliases(value, visited)
        for value in (node.values() if kind is dict else node)
    )


def _entries(data: Any, indent: int, lead: str) -> Iterator[str]:
    """Yield the lines of a list or mapping that is not empty.

    The first line begins with *lead*, the others with *indent* spaces.
    """
    margin = " " * indent
    if type(data) is list:
        for value in data:
            yield from _item(value, indent, lead)
            lead = margin
        return
    for key, value in data.items():
        yield from _pair(key, value, indent, lead)
        lead = margin


def _item(value: Any, indent: int, lead: str) -> Iterator[str]:
    kind = type(value)
    if kind is Constant:
        yield lead + value.item(indent)
    elif kind in {dict, list} and value:
        yield from _entries(value, indent + 2, f"{lead}- ")
    elif kind is str and (plain := _scalar(value, indent + 2)) is not None:
        yield f"{lead}- {plain}\n"
    elif kind is str and len(value) <= LONGEST:
        yield lead + _long_item(value, indent)
    else:
        yield lead + _nested([value], indent)


def _pair(key: Any, value: Any, indent: int, lead: str) -> Iterator[str]:
    name = _scalar(key, indent) if key and type(key) is str else None
    if name is None:
        yield lead + _nested({key: value}, indent)
        return
    kind = type(value)
    if kind in {dict, list} and value:
        yield f"{lead}{name}:\n"
        yield from _entries(value, indent + 2, " " * (indent + 2))
    elif kind is str and (text := _scalar(value, indent + len(name) + 2)) is not None:
        yield f"{lead}{name}: {text}\n"
    elif value is True or value is False:
        yield f"{lead}{name}: {'true' if value else 'false'}\n"
    elif kind is str and len(value) <= LONGEST:
        yield lead + _long_pair(key, value, indent)
    else:
        yield lead + _nested({key: value}, indent)


def _scalar(text: str, column: int) -> str | None:
    """Return *text* as a scalar, or None if PyYAML may break it at this *column*."""
    if column + len(text) > WIDTH or len(text) > LONGEST:
        return None
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text if column + len(text) < WIDTH else None
    scalar = _quoted_scalar(text)
    return scalar if column + len(scalar) < WIDTH else None


@lru_cache(REMEMBERED)
def _quoted_scalar(text: str) -> str:
    """Return *text* as a scalar; if it has several lines, more than fits on one."""
    if _BREAKS.search(text):
        return " " * WIDTH
    # In a list: a scalar alone would be followed by the end of its document.
    return _dump([text])[2:-1]


@lru_cache(REMEMBERED)
def _long_item(text: str, indent: int) -> str:
    return _nested([text], indent)


@lru_cache(REMEMBERED)
def _long_pair(key: str, text: str, indent: int) -> str:
    return _nested({key: text}, indent)


def _nested(data: dict[Any, Any] | list[Any], indent: int) -> str:
    """Return PyYAML's text for *data* at *indent*, without the indent of the first line."""
    whole: Any = data
    for _ in range(indent // 2):
        whole = {"x": whole}
    lines = _dump(whole).split("\n", indent // 2)
    text = lines[-1][indent:]
    return text[:-4] if text.endswith(_END) else text


def _dump(data: Any) -> str:
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH
    )
    return text
