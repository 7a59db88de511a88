"""Pushed metrics as text and in protobuf, and envelopes of Sentry."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.shape import ENVELOPE, PROTOBUF, TEXT, Shape


def expositions() -> Iterator[tuple[str, Shape]]:
    for name, (piece, first, last) in {
        "samples": (b"a 1\n", b"", b""),
        "names": (b"a%d 1\n", b"", b""),
        "series": (b'a{b="%d"} 1\n', b"", b""),
        "comments": (b"#\n", b"", b"a 1\n"),
        "one comment": (b" ", b"#", b"\na 1\n"),
        "tabs in a comment": (b"\t", b"\t#", b"\na 1\n"),
        "spaced comments": (b"#" + b" " * 8000 + b"\n", b"", b"a 1\n"),
        "type lines": (b"# TYPE a%d counter\n", b"", b"a 1\n"),
        "help lines": (b"# HELP a%d \\\\n\n", b"", b"a 1\n"),
        "a type": (b"a", b"# TYPE ", b" counter\n"),
        "spaced types": (b"# TYPE a" + b" " * 8000 + b"!\n", b"", b"a 1\n"),
        "types of spaces": (b"# TYPE" + b" " * 8000 + b"\n", b"", b"a 1\n"),
        "labels": (b'l%d="x",', b"a{", b"} 1\n"),
        "braces": (b"{", b"a", b" 1\n"),
        "long lines": (b"a{" + b'b="c",' * 2000 + b"} 1\n", b"", b""),
        "long texts": (b'a{b="' + b"\\\\" * 4000 + b'"} 1\n', b"", b""),
        "long spaces": (b"a" + b" " * 8000 + b"1\n", b"", b""),
        "quotes": (b'a{b="' + b'"' * 8000 + b'"} 1\n', b"", b""),
        "equals": (b"a{" + b"=" * 8000 + b"} 1\n", b"", b""),
        "long numbers": (b"a " + b"1" * 4000 + b"\n", b"", b""),
        "counters": (
            b"# TYPE a%d counter\na%d_total 1\n".replace(b"%d", b"x"),
            b"",
            b"",
        ),
        "no line end": (b"a 1\n", b"", b"a"),
        "successes": (b"last_success_timestamp_seconds_%d 1\n", b"", b""),
        "failures": (b"etl_failed_%d 0\n", b"", b""),
        "states": (b'job_state{state="s%d"} 0\n', b"", b""),
        "words": (b"a_" * 4000 + b" 1\n", b"", b""),
        "one label": (b'l="x",', b"a{", b"} 1\n"),
        "many labels": (
            b"a{" + b",".join(b'l%03d="x"' % n for n in range(60)) + b"} 1\n",
            b"",
            b"",
        ),
        "exponents": (b"a%d 1e" + b"9" * 4000 + b"\n", b"", b""),
        "underscores": (b"_" * 8000 + b" 1\n", b"", b""),
        "exemplars": (b'a_total%d 1 # {a="b"} 1\n', b"# TYPE a counter\n", b"# EOF\n"),
        "long words": (b'state{state="' + b"fail " * 1600 + b'"} 1\n', b"", b""),
    }.items():
        yield name, Shape(TEXT, piece, first, last)


def protobufs() -> Iterator[tuple[str, Shape]]:
    metric = b"\x22\x0b\x12\x09\x09" + bytes(8)
    for name, piece in {
        "empty families": b"\x03\x0a\x01a",
        "nothing": b"\x00",
        "one metric": _metric(0),
        "labels": _metric(1000),
        "most labels": _metric(2500),
        "metrics": _varint(5 + 13 * 1000) + b"\x0a\x01a\x18\x01" + metric * 1000,
        "groups": _varint(32) + b"\x0b" * 16 + b"\x0c" * 16,
        "fields": _varint(1000) + b"\x08\x01" * 500,
        "help": _varint(20_008) + b"\x0a\x01a\x12\xa0\x9c\x01" + b"x" * 20_000,
        "histogram": _varint(8 + 3004)
        + b"\x0a\x01a\x18\x04\x22\xbc\x17\x3a\xb9\x17"
        + b"\x1a\x00" * 1500,
    }.items():
        yield (
            name,
            Shape(PROTOBUF, piece.replace(b"%", b"%%") if b"%d" in piece else piece),
        )


def envelopes() -> Iterator[tuple[str, Shape]]:
    check_in = (
        b'{"type":"check_in"}\n{"check_in_id":"%032d","monitor_slug":"backup",'
        b'"status":"ok"}\n'
    )
    for name, (piece, first) in {
        "items": (b'{"type":"event"}\n{}\n', b"{}\n"),
        "empty items": (b'{"type":"event","length":0}\n\n', b"{}\n"),
        "check-ins": (check_in.replace(b"%032d", b"0" * 25 + b"%d"), b"{}\n"),
        "slugs": (
            b'{"type":"check_in"}\n{"monitor_slug":"s%d","status":"ok"}\n',
            b"{}\n",
        ),
        "headers": (b"{}\n", b""),
        "no headers": (b"x\n", b"{}\n"),
        "wide check-in": (
            b'"k%d":1,',
            b'{}\n{"type":"check_in"}\n{"monitor_slug":"backup","status":"ok",',
        ),
        "wide header": (b'"k%d":1,', b"{"),
    }.items():
        last = b'"z":1}\n' if name.startswith("wide") else b""
        yield name, Shape(ENVELOPE, piece, first, last)


def _metric(labels: int) -> bytes:
    """Return a family of one metric with so many labels, in protobuf."""
    pair = b"\x0a\x0a\x0a\x04l%03d\x12\x02xy"
    metric = b"".join(pair % number for number in range(labels))
    metric += b"\x12\x09\x09" + bytes(8)
    family = b"\x0a\x01a\x18\x01\x22" + _varint(len(metric)) + metric
    return _varint(len(family)) + family


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
