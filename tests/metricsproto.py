"""Google's protobuf, with the messages in which clients push metrics.

https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TYPES: Final = ("counter", "gauge", "summary", "untyped", "histogram")

_OPTIONAL, _REPEATED = 1, 3
_DOUBLE, _INT64, _UINT64, _STRING, _MESSAGE, _INT32 = 1, 3, 4, 9, 11, 5
#: Fields as (name, number, type or message, label).
_MESSAGES: Final[dict[str, list[tuple[str, int, int | str, int]]]] = {
    "LabelPair": [("name", 1, _STRING, 1), ("value", 2, _STRING, 1)],
    "Single": [("value", 1, _DOUBLE, 1)],
    "Quantile": [("quantile", 1, _DOUBLE, 1), ("value", 2, _DOUBLE, 1)],
    "Summary": [
        ("sample_count", 1, _UINT64, 1),
        ("sample_sum", 2, _DOUBLE, 1),
        ("quantile", 3, "Quantile", _REPEATED),
    ],
    "Bucket": [("cumulative_count", 1, _UINT64, 1), ("upper_bound", 2, _DOUBLE, 1)],
    "Histogram": [
        ("sample_count", 1, _UINT64, 1),
        ("sample_sum", 2, _DOUBLE, 1),
        ("bucket", 3, "Bucket", _REPEATED),
        ("schema", 5, _INT32, 1),
    ],
    "Metric": [
        ("label", 1, "LabelPair", _REPEATED),
        ("gauge", 2, "Single", 1),
        ("counter", 3, "Single", 1),
        ("summary", 4, "Summary", 1),
        ("untyped", 5, "Single", 1),
        ("timestamp_ms", 6, _INT64, 1),
        ("histogram", 7, "Histogram", 1),
    ],
    "MetricFamily": [
        ("name", 1, _STRING, 1),
        ("help", 2, _STRING, 1),
        ("type", 3, _INT32, 1),
        ("metric", 4, "Metric", _REPEATED),
    ],
}


def _family() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="metrics.proto", package="io.prometheus.client", syntax="proto2"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label in fields:
            added = message.field.add(name=field, number=number)
            added.label = label  # type: ignore[assignment]
            added.type = kind if isinstance(kind, int) else _MESSAGE  # type: ignore[assignment]
            if isinstance(kind, str):
                added.type_name = f".io.prometheus.client.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("io.prometheus.client.MetricFamily")
    return message_factory.GetMessageClass(found)


#: The class of the messages.
MetricFamily: Final = _family()


def varint(number: int) -> bytes:
    """Return *number* as it is written before a message."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def delimited(families: Iterable[Any]) -> bytes:
    """Return messages one after the other, each behind its size."""
    written = (family.SerializeToString() for family in families)
    return b"".join(varint(len(one)) + one for one in written)
