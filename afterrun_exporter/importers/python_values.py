"""Values of Python expressions that are constants, computed without executing code.

Only operations on plain values are known, and each has a limit: of text, of numbers, of
items, of steps. Everything else is unresolved, with the reason.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

#: The maximum number of characters of a text, of items of a list, of bits of a number.
MAX_TEXT: Final = 20_000
MAX_ITEMS: Final = 10_000
MAX_BITS: Final = 256

PLAIN: Final = (str, int, float, bool, type(None))
#: A width or precision of a format that could make a text huge, or access an attribute.
_HUGE_FORMAT = re.compile(r"\d{4,}|%[^a-zA-Z%]*\*")
_ACCESS = re.compile(r"\{[^}]*[.\[]")


class Unresolved(Exception):  # noqa: N818 - a result, not an error of the user
    """An expression has no constant value; the message has the reason."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is not known."""

    #: The reason, or the imported name.
    reason: str
    #: A dotted name, if it has one.
    name: str = ""
    line: int = 0

    def unresolved(self) -> Unresolved:
        """Return the error for a use of it."""
        return Unresolved(self.reason, self.line)


@dataclass(slots=True)
class Namespace:
    """A module or a class, with its variables."""

    name: str
    values: MutableMapping[str, Any]


@dataclass(slots=True)
class Record:
    """An object of a known class, such as JobConfig."""

    file: str
    line: int
    #: By name; values that are not known are Opaque.
    values: dict[str, Any]
    #: The reason why further values are not known, or "".
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the file, which can be applied."""

    node: ast.FunctionDef
    scope: MutableMapping[str, Any] = field(compare=False)
    file: str


@dataclass(frozen=True, slots=True)
class Builtin:
    """A known function of Python."""

    name: str
    apply: Callable[..., Any] = field(compare=False)


def plain(value: object, what: str = "value") -> Any:
    """Return *value* if it is a text, a number, a boolean or None."""
    if isinstance(value, Opaque):
        raise value.unresolved()
    if not isinstance(value, PLAIN):
        raise Unresolved(f"a {what} is not plain text or a number")
    return value


def limited(value: Any) -> Any:
    """Return *value*; raise Unresolved if it is too large."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise Unresolved(f"a text of more than {MAX_TEXT} characters")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise Unresolved(f"a number of more than {MAX_BITS} bits")
    if isinstance(value, list | tuple | dict) and len(value) > MAX_ITEMS:
        raise Unresolved(f"more than {MAX_ITEMS} items")
    return value


def items(value: object) -> list[Any]:
    """Return the items of an iterable *value*."""
    if isinstance(value, Opaque):
        raise value.unresolved()
    if isinstance(value, list | tuple | dict | str | range):
        if len(value) > MAX_ITEMS:
            raise Unresolved(f"more than {MAX_ITEMS} items")
        return list(value)
    raise Unresolved("is not a list that can be read from the file")


def _times(one: Any, two: Any) -> Any:
    for a, b in ((one, two), (two, one)):
        if isinstance(a, str | list | tuple) and isinstance(b, int):
            if len(a) * max(b, 0) > MAX_ITEMS:
                raise Unresolved("a repetition that is too long")
            return a * b
    return one * two


def _power(one: Any, two: Any) -> Any:
    if isinstance(one, int) and isinstance(two, int):
        if two < 0 or one.bit_length() * two > MAX_BITS:
            raise Unresolved("a power that is too large")
        return one**two
    return float(one) ** float(two)


def _modulo(one: Any, two: Any) -> Any:
    if not isinstance(one, str):
        return one % two
    values = two if isinstance(two, tuple) else (two,)
    if isinstance(two, dict):
        raise Unresolved("formats a text by names")
    length = sum(len(str(plain(value))) for value in values)
    if _HUGE_FORMAT.search(one) or len(one) + length > MAX_TEXT:
        raise Unresolved("a format that is too long")
    return one % two


_BINARY: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _times,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: _modulo,
    ast.Pow: _power,
    ast.BitOr: operator.or_,
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_COMPUTABLE: Final = (*PLAIN, list, tuple, dict, timedelta)


def binary(kind: type[ast.operator], one: Any, two: Any) -> Any:
    """Return the result of an operator on two known values."""
    for value in (one, two):
        if isinstance(value, Opaque):
            raise value.unresolved()
        if not isinstance(value, _COMPUTABLE):
            raise Unresolved("an operator on objects")
    if kind not in _BINARY:
        raise Unresolved("an operator that is not computed here")
    return limited(safely(_BINARY[kind], one, two))


def unary(kind: type[ast.unaryop], value: Any) -> Any:
    """Return the result of an operator on one known value."""
    if kind not in _UNARY:
        raise Unresolved("an operator that is not computed here")
    if kind is ast.Not and isinstance(value, list | tuple | dict):
        return not value
    return safely(_UNARY[kind], plain(value))


def compare(kind: type[ast.cmpop], one: Any, two: Any) -> bool:
    """Return the result of a comparison of plain values, or with a list of them."""
    plain(one)
    if kind in {ast.In, ast.NotIn}:
        if not isinstance(two, str):
            two = [plain(value) for value in items(two)]
        return bool(safely(operator.contains, two, one)) == (kind is ast.In)
    return bool(safely(_COMPARE[kind], one, plain(two)))


def safely(apply: Callable[..., Any], *values: Any, **named: Any) -> Any:
    """Return the result of *apply*; raise Unresolved with the error it raises."""
    try:
        return apply(*values, **named)
    except Unresolved:
        raise
    except Exception as error:  # noqa: BLE001 - of a known operation on plain values
        raise Unresolved(f"cannot be computed: {error}") from None


def formatted(value: Any, conversion: int, spec: str) -> str:
    """Return *value* as in an f-string."""
    plain(value)
    if _HUGE_FORMAT.search(spec):
        raise Unresolved("a format that is too long")
    if conversion in {ord("r"), ord("a")}:
        value = repr(value) if conversion == ord("r") else ascii(value)
    elif conversion == ord("s"):
        value = str(value)
    return str(limited(safely(format, value, spec)))


def _format(text: str, *values: Any, **named: Any) -> str:
    longest = max(
        (len(str(plain(one))) for one in (*values, *named.values())), default=0
    )
    if (
        _HUGE_FORMAT.search(text)
        or _ACCESS.search(text)
        or len(text) + text.count("{") * longest > MAX_TEXT
    ):
        raise Unresolved("a format that is too long")
    return text.format(*values, **named)


def _join(text: str, parts: Any) -> str:
    texts = [plain(one) for one in items(parts)]
    if sum(len(str(one)) + len(text) for one in texts) > MAX_TEXT:
        raise Unresolved("a text that is too long")
    return text.join(texts)


def _replace(text: str, old: str, new: str) -> str:
    if len(text) + (text.count(plain(old)) + 1) * len(plain(new)) > MAX_TEXT:
        raise Unresolved("a text that is too long")
    return text.replace(old, new)


def _zfill(text: str, width: int) -> str:
    return text.zfill(min(plain(width), MAX_TEXT))


def _get(data: dict[Any, Any], key: Any, default: Any = None) -> Any:
    return data.get(plain(key), default)


def _update(data: dict[Any, Any], other: Any = None, **named: Any) -> None:
    if other is not None and not isinstance(other, dict):
        raise Unresolved("an update that is not by a dict")
    data.update(other or {}, **named)
    limited(data)


def _extend(data: list[Any], more: Any) -> None:
    data.extend(items(more))
    limited(data)


def _insert(data: list[Any], place: Any, value: Any) -> None:
    data.insert(plain(place), value)
    limited(data)


def _append(data: list[Any], value: Any) -> None:
    data.append(value)
    limited(data)


#: Methods of known values, by type. Those of lists and dicts change them.
METHODS: Final[Mapping[type, Mapping[str, Callable[..., Any]]]] = {
    str: {
        **{
            name: getattr(str, name)
            for name in (
                "upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip",
                "split", "removeprefix", "removesuffix", "startswith", "endswith",
            )
        },
        "format": _format,
        "join": _join,
        "replace": _replace,
        "zfill": _zfill,
    },
    dict: {
        "items": lambda data: list(data.items()),
        "keys": list,
        "values": lambda data: list(data.values()),
        "get": _get,
        "copy": dict,
        "update": _update,
    },
    list: {"append": _append, "extend": _extend, "insert": _insert, "copy": list},
    timedelta: {"total_seconds": timedelta.total_seconds},
}  # fmt: skip


def _dict(pairs: Any = (), **named: Any) -> dict[Any, Any]:
    if isinstance(pairs, dict):
        return {**pairs, **named}
    data = {}
    for pair in items(pairs):
        key, value = items(pair)
        data[plain(key)] = value
    return {**data, **named}


def _range(*limits: Any) -> range:
    return range(*(plain(one) for one in limits))


def _plain_list(apply: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    """Return *apply* for a list of plain values, or for several."""

    def applied(*values: Any) -> Any:
        several = values if len(values) > 1 else items(values[0])
        return apply([plain(one) for one in several])

    return applied


def _unique(values: Any = ()) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(plain(one) for one in items(values)))


def _of_plain(apply: Callable[..., Any]) -> Callable[..., Any]:
    def applied(*values: Any, **named: Any) -> Any:
        named = {key: plain(value) for key, value in named.items()}
        return apply(*(plain(one) for one in values), **named)

    return applied


def _zip(*lists: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(items(one) for one in lists), strict=False))


def _enumerate(values: Any, start: int = 0) -> list[tuple[int, Any]]:
    return list(enumerate(items(values), plain(start)))


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "dict": _dict,
    "list": lambda values=(): items(values),
    "tuple": lambda values=(): tuple(items(values)),
    "set": _unique,
    "frozenset": _unique,
    "str": _of_plain(str),
    "int": _of_plain(int),
    "float": _of_plain(float),
    "bool": _of_plain(bool),
    "abs": _of_plain(abs),
    "round": _of_plain(round),
    "len": lambda values: len(items(values)),
    "range": _range,
    "enumerate": _enumerate,
    "zip": _zip,
    "reversed": lambda values: items(values)[::-1],
    "sorted": _plain_list(sorted),
    "min": _plain_list(min),
    "max": _plain_list(max),
    "sum": _plain_list(sum),
    "print": lambda *_values, **_named: None,
}
#: Names that every module has.
BUILTINS: Final = {name: Builtin(name, one) for name, one in _FUNCTIONS.items()}
TIMEDELTA: Final = Builtin("timedelta", _of_plain(timedelta))


def why(opaque: Opaque, line: int) -> str:
    """Return the reason why a value on *line* is not known."""
    where = f" (line {opaque.line})" if opaque.line not in {0, line} else ""
    return f"{opaque.reason}{where}"


def foreign(name: str) -> Opaque:
    """Return the value of an imported *name* that is not in the given files."""
    reason = f"{name} is not in the given files"
    if name.partition(".")[0] == "os":
        reason = "it depends on the environment"
    return Opaque(reason, name)
