"""The delimited protobuf format in which Go and Rust clients push metrics.

https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto

This decoder needs only three types of the wire format. It yields sample by sample, so
that it does not block the event loop and does not build a tree of objects a hundred
times the size of the body. The tests compare it with Google's implementation.
Native histograms, exemplars and unknown fields are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Final

from prometheus_client.samples import Sample

from afterrun_exporter.dialects.pushgateway.text_format import (
    Exposed,
    format_number,
    help_text,
)
from afterrun_exporter.errors import PingError

#: The most characters in the name of a family.
LONGEST_NAME: Final = 2**10
#: The most bytes in a metric, which is read in one step.
LARGEST_METRIC: Final = 2**15
#: Fields of a family that are read in one step.
STEP: Final = 64
#: The deepest nesting of groups, which are obsolete and skipped.
MAX_DEPTH: Final = 16

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
_DOUBLE: Final = Struct("<d")

#: By number of MetricType: the name in the text format, and the field of Metric with
#: the value.
_TYPES: Final[Mapping[int, tuple[str, int]]] = {
    0: ("counter", 3),
    1: ("gauge", 2),
    2: ("summary", 4),
    3: ("untyped", 5),
    4: ("histogram", 7),
    5: ("histogram", 7),
}
#: Fields of Metric with one value, those of a summary and of a histogram.
_SIMPLE: Final = frozenset({2, 3, 5})
_SUMMARY: Final = 4
_HISTOGRAM: Final = 7

#: Number and wire type of a field, its integer value, and its bytes.
Field = tuple[int, int, int, memoryview]


def protobuf_steps(body: bytes, exposed: Exposed) -> Iterator[None]:
    """Read *body* into *exposed* in short steps; raise PingError if it is malformed."""
    view, at = memoryview(body), 0
    while at < len(view):
        size, at = _varint(view, at)
        if size > len(view) - at:
            raise _malformed(
                f"a message has {size} bytes, but only {len(view) - at} remain"
            )
        yield from _family(view[at : at + size], exposed)
        at += size
        yield


def _family(  # noqa: C901 - two passes over one message
    view: memoryview, exposed: Exposed
) -> Iterator[None]:
    name = help_ = ""
    kind = 0
    # Fields may come in any order: read the metrics in a second pass.
    for position, (number, wire, value, content) in enumerate(_fields(view)):
        match number, wire:
            case 1, 2:
                name = _text(content)
            case 2, 2:
                help_ = _text(content)
            case 3, 0:
                kind = value if value in _TYPES else kind
        if position % STEP == 0:
            yield
    holder = _declare(name, help_, kind, exposed)
    for position, (number, wire, _, content) in enumerate(_fields(view)):
        if (number, wire) == (4, _BYTES):
            if len(content) > LARGEST_METRIC:
                raise _malformed(f"a metric of {name} has {len(content)} bytes")
            for sample in _samples(name, holder, content):
                exposed.add(sample)
                yield
        elif position % STEP == 0:
            yield


def _declare(name: str, help_: str, kind: int, exposed: Exposed) -> int:
    """Add a family to *exposed*; return the number of the field with its values."""
    if not name:
        raise _malformed("a metric family has no name")
    if len(name) > LONGEST_NAME:
        raise _malformed(f"a name has {len(name)} characters, at most {LONGEST_NAME}")
    type_, holder = _TYPES[kind]
    if exposed.types.setdefault(name, type_) != type_:
        raise _malformed(f"{name} has two types: {exposed.types[name]} and {type_}")
    if help_:
        exposed.helps[name] = help_text(help_)
    return holder


def _samples(name: str, holder: int, metric: memoryview) -> Iterator[Sample]:
    labels: dict[str, str] = {}
    parts: list[memoryview] = []
    timestamp: float | None = None
    for number, wire, value, content in _fields(metric):
        if (number, wire) == (1, _BYTES):
            label, text = _pair(content)
            if label in labels:
                raise _malformed(f"{name} has the label {label!r:.200} twice")
            labels[label] = text
        elif (number, wire) == (holder, _BYTES):
            # Repeated messages are merged.
            parts.append(content)
        elif (number, wire) == (6, _VARINT):
            timestamp = float(value)
    if not parts:
        raise _malformed(f"a metric of {name} has no value of its type")
    for suffix, more, number_ in _values(holder, parts):
        yield Sample(name + suffix, {**labels, **more}, number_, timestamp)


def _values(
    holder: int, parts: list[memoryview]
) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield the suffix, labels and value of each series of a metric."""
    numbers: dict[int, float] = {}
    is_open = holder == _HISTOGRAM
    for part in parts:
        for number, wire, value, content in _fields(part):
            if (number, wire) != (3, _BYTES):
                _add(numbers, number, wire, value, content)
            elif holder == _SUMMARY:
                one = _numbers(content)
                rank = format_number(one.get(_double(1), 0.0))
                yield "", {"quantile": rank}, one.get(_double(2), 0.0)
            elif holder == _HISTOGRAM:
                one = _numbers(content)
                bound = one.get(_double(2), 0.0)
                is_open = is_open and bound != math.inf
                count_in_bucket = one.get(1, 0.0) or one.get(_double(4), 0.0)
                yield "_bucket", {"le": format_number(bound)}, count_in_bucket
    if holder in _SIMPLE:
        yield "", {}, numbers.get(_double(1), 0.0)
        return
    count = numbers.get(1, 0.0) or numbers.get(_double(4), 0.0)
    if is_open:
        yield "_bucket", {"le": "+Inf"}, count
    yield "_sum", {}, numbers.get(_double(2), 0.0)
    yield "_count", {}, count


def _numbers(view: memoryview) -> dict[int, float]:
    """Return the last value of each numeric field; doubles have the key `_double`."""
    numbers: dict[int, float] = {}
    for number, wire, value, content in _fields(view):
        _add(numbers, number, wire, value, content)
    return numbers


def _add(
    numbers: dict[int, float], number: int, wire: int, value: int, content: memoryview
) -> None:
    if wire == _VARINT:
        numbers[number] = float(value)
    elif wire == _FIXED64:
        numbers[_double(number)] = _DOUBLE.unpack(content)[0]


def _double(number: int) -> int:
    """Return the key of a double, distinct from an integer of the same field number."""
    return -number


def _pair(view: memoryview) -> tuple[str, str]:
    name = value = ""
    for number, wire, _, content in _fields(view):
        if (number, wire) == (1, _BYTES):
            name = _text(content)
        elif (number, wire) == (2, _BYTES):
            value = _text(content)
    return name, value


def _fields(view: memoryview) -> Iterator[Field]:  # noqa: C901 - one loop, one format
    """Yield the fields of a message; those in groups have the number 0."""
    at, groups, nothing = 0, [], view[:0]
    while at < len(view):
        key, at = _varint(view, at)
        number, wire = key >> 3, key & 7
        if not 0 < number < 2**29:
            raise _malformed(f"field number {number}")
        value, content = 0, nothing
        if wire == _VARINT:
            value, at = _varint(view, at)
        elif wire in {_FIXED64, _FIXED32, _BYTES}:
            size = 8 if wire == _FIXED64 else 4
            if wire == _BYTES:
                size, at = _varint(view, at)
            if size > len(view) - at:
                raise _malformed(f"field {number} ends after the end of its message")
            content = view[at : at + size]
            at += size
        elif wire == _GROUP:
            groups.append(number)
            if len(groups) > MAX_DEPTH:
                raise _malformed("groups are nested too deep")
        elif wire != _END_GROUP or not groups or groups.pop() != number:
            raise _malformed(f"wire type {wire}")
        is_field = not groups and wire not in {_GROUP, _END_GROUP}
        yield number if is_field else 0, wire, value, content
    if groups:
        raise _malformed("a group has no end")


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise _malformed("the message ends within a number")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise _malformed("a number is longer than 10 bytes")


def _text(view: memoryview) -> str:
    return bytes(view).decode("utf-8", "replace")


def _malformed(reason: str) -> PingError:
    return PingError(f"protobuf parsing error: {reason}")
