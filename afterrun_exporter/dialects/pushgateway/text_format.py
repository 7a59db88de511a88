"""Parser of the Prometheus text format, and conversion to metric families.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from afterrun_exporter.core.pushed_metrics import (
    NUL,
    PARTS,
    RESERVED,
    TIMES,
    Family,
    series,
)
from afterrun_exporter.errors import PingError

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

_TYPES: Final = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
_TYPE: Final = re.compile(
    rf"^([ \t]*#[ \t]+TYPE[ \t]+({_NAME.pattern})[ \t]+)(\w+)[ \t\r]*$", re.MULTILINE
)
_HELP: Final = re.compile(
    rf"^[ \t]*#[ \t]+HELP[ \t]+({_NAME.pattern})[ \t]+(.*)$", re.MULTILINE
)
#: A number in Go's syntax; Python would accept more.
_NUMBER: Final = re.compile(
    r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:[+-]?inf|nan)",
)
_HELP_ESCAPE: Final = re.compile(r"\\[\\n]")
#: The label that distinguishes the buckets of a histogram or the quantiles of a
#: summary.
_BOUND: Final = {"histogram": "le", "summary": "quantile"}


#: The most lines in one step, and the most characters in a line: the time of the
#: parser grows with the square of a line.
LINES: Final = 50
LONGEST_LINE: Final = 2**14


#: The most samples in one push.
MOST_SAMPLES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Exposed:
    """The samples, types and help texts in a body."""

    samples: list[Sample] = field(default_factory=list)
    #: Types and help texts by family, if the body has them.
    types: dict[str, str] = field(default_factory=dict)
    helps: dict[str, str] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Add a sample; raise PingError if there are too many."""
        if len(self.samples) == MOST_SAMPLES:
            raise PingError(f"more than {MOST_SAMPLES} samples: push fewer")
        self.samples.append(sample)


def text_steps(body: bytes, exposed: Exposed) -> Iterator[None]:
    """Read *body* into *exposed* in short steps; raise PingError if it is malformed."""
    text = body.decode("utf-8", "replace")
    if text and not text.endswith("\n"):
        last = text.count("\n") + 1
        raise PingError(
            f"text format parsing error in line {last}: unexpected end of input stream"
        )
    some: list[str] = []
    characters = 0
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            raise PingError(
                f"text format parsing error in line {number}: {len(line)} characters, "
                f"at most {LONGEST_LINE} are read"
            )
        if len(some) == LINES or characters + len(line) > LONGEST_LINE:
            _read_lines("\n".join(some), exposed)
            yield
            some, characters = [], 0
        some.append(line)
        characters += len(line)
    _read_lines("\n".join(some), exposed)
    yield


def _read_lines(text: str, exposed: Exposed) -> None:
    for _, name, kind in _TYPE.findall(text):
        if kind.lower() not in _TYPES:
            raise PingError(f"text format parsing error: unknown metric type {kind!r}")
        exposed.types[name] = kind.lower()
    for name, text_of_help in _HELP.findall(text):
        exposed.helps[name] = help_text(
            _HELP_ESCAPE.sub(lambda m: "\n" if m[0] == r"\n" else "\\", text_of_help)
        )
    # The parser renames counters when it groups samples: declare all types untyped.
    for sample in _samples(_TYPE.sub(r"\1untyped", text)):
        exposed.add(sample)


def help_text(text: str) -> str:
    """Return a help text without characters that cannot be exposed."""
    return text.strip().replace(NUL, "")


def family_steps(
    exposed: Exposed, group: Mapping[str, str], families: dict[str, Family]
) -> Iterator[None]:
    """Add the families of a push to *families*, with its labels on every series.

    In short steps. Raises PingError if they cannot be exposed.
    """
    for sample in exposed.samples:
        yield
        name = _family_of(sample.name, exposed.types)
        if name in TIMES:
            continue  # added by this exporter
        labels = {**sample.labels, **group}
        kind = exposed.types.get(name, "untyped")
        _check(sample.name, name, kind, labels)
        if (bound := _BOUND.get(kind, "")) in labels:
            labels[bound] = format_number(float(labels[bound]))
        if name not in families:
            families[name] = Family(kind, exposed.helps.get(name, ""), {})
        one, values = series(sample.name, labels), families[name].series
        if one in values:
            raise PingError(f"{one:.200} occurs twice in the push")
        values[one] = format_number(sample.value)


def _family_of(name: str, types: Mapping[str, str]) -> str:
    if name in types:
        return name
    for part in PARTS["histogram"]:
        whole = name.removesuffix(part)
        if whole != name and part in PARTS.get(types.get(whole, ""), ()):
            return whole
    return name


def _check(name: str, family: str, kind: str, labels: Mapping[str, str]) -> None:
    """Raise PingError for a series that cannot be exposed."""
    if not _NAME.fullmatch(name):
        raise PingError(
            f"{name!r:.200} is not a metric name: use letters, digits, _, :"
        )
    if name.startswith(RESERVED):
        raise PingError(f"{name} has the reserved prefix {RESERVED}: rename it")
    for label, value in labels.items():
        if not LABEL.fullmatch(label) or label.startswith("__"):
            raise PingError(f"{name} has a label with an invalid name: {label!r:.200}")
        if NUL in value:
            raise PingError(f"{name} has a label with a NUL character in it: {label!r}")
    if (bound := _BOUND.get(kind)) is None:
        return
    is_bound = name == family + ("_bucket" if kind == "histogram" else "")
    if is_bound is not (bound in labels) or (name == family and kind == "histogram"):
        raise PingError(
            f"{name} is not a valid series of the {kind} {family}: check its label {bound!r}"
        )
    if is_bound and not _NUMBER.fullmatch(labels[bound]):
        raise PingError(f"{name} has {bound}={labels[bound]!r:.200}: use a number")


def _samples(text: str) -> Iterator[Sample]:
    families = iter(text_string_to_metric_families(text))
    while (family := _next(families)) is not None:
        for sample in family.samples:
            yield sample._replace(value=_finite(sample.value))


def _next(families: Iterator[Metric]) -> Metric | None:
    try:
        return next(families, None)
    # The parser does not validate all of its input.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise PingError(f"text format parsing error: {error!s:.200}") from None


def _finite(value: float) -> float:
    """Return *value* as a number that fits in a float."""
    try:
        float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf if value > 0 else -math.inf
    return value


def format_number(value: float) -> str:
    """Return *value* in Go's format, which dashboards expect in bucket bounds."""
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    digits = Decimal(repr(number)).normalize()
    mantissa, exponent = f"{digits:e}".split("e")
    if -4 <= int(exponent) < 6:
        return f"{digits:f}"
    return f"{mantissa}e{int(exponent):+03}"
