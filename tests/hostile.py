"""Bodies that take as much work as their size allows, in every format that is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.test_any_request import FIRST, PLACES, UUID, UUID_FIRST, filled

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data; boundary=b"
TEXT: Final = "text/plain"
PROTOBUF: Final = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
    "encoding=delimited"
)
ENVELOPE: Final = "application/x-sentry-envelope"
YAML: Final = "application/yaml"


@dataclass(frozen=True, slots=True)
class Shape:
    """Pieces that are repeated between a beginning and an end; `%d` counts them."""

    type: str
    piece: bytes
    first: bytes = b""
    last: bytes = b""
    #: The piece again, after all of them: what closes each.
    closing: bytes = b""

    def body(self, size: int) -> bytes:
        """Return a body of at most *size* bytes."""
        room = size - len(self.first) - len(self.last)
        numbered = b"%d" in self.piece
        each = len(self.piece % 9_999_999 if numbered else self.piece)
        times = room // (each + len(self.closing))
        pieces = (
            b"".join(self.piece % one for one in range(times))
            if numbered
            else self.piece * times
        )
        return self.first + pieces + self.last + self.closing * times


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


def _plain() -> Iterator[tuple[str, Shape]]:
    for name, piece in {
        "x lines": b"x\n",
        "empty lines": b"\n",
        "blank lines": b" \n",
        "returns": b"\r",
        "spaces": b" ",
        "tabs": b"\t",
        "zeros": b"\0",
        "bytes": b"\xff",
        "two bytes": b"\xc3\xa4",
        "colons": b"a: 1\n",
        "equals": b"a=",
        "words": b"no errors ",
        "exit codes": b"exit code ",
        "long word": b"a",
        "quotes": b'"',
        "backslashes": b"\\",
        "percents": b"%",
        "paragraph separators": b"\xe2\x80\xa9",
    }.items():
        yield name, Shape(TEXT, piece)
        yield f"{name}, no type", Shape("", piece)


def _json() -> Iterator[tuple[str, Shape]]:
    def shape(piece: bytes, first: bytes, last: bytes, closing: bytes = b"") -> Shape:
        return Shape(JSON, piece, first, last, closing)

    job = b'{"job": "backup", "run_id": "1", '
    for name, (piece, first, last) in {
        "numbers": (b'"k%d":1,', b"{", b'"z":1}'),
        "numbers apart": (b'"k%d" :1,', b"{", b'"z":1}'),
        "texts": (b'"k%d" : "x",', b"{", b'"z":1}'),
        "one name": (b'"k" :1,', b"{", b'"z":1}'),
        "claims": (b'"status" :"ok",', b"{", b'"z":1}'),
        "exit codes": (b'"exit_code%d" :0,', b"{", b'"z":1}'),
        "nearly claims": (b'"statu%d" :"fail",', b"{", b'"z":1}'),
        "nearly fields": (b'"messag%d" :"",', b"{", b'"z":1}'),
        "metrics": (b'"k%d" :1,', b'{"metrics":{', b'"z":1}}'),
        "bad metrics": (b'"k%d" :"x",', b'{"metrics":{', b'"z":1}}'),
        "metadata": (b'"k%d" :"x",', b'{"metadata":{', b'"z":1}}'),
        "lists in metadata": (b'["a",1],', b'{"metadata":{"a":[', b"0]}}"),
        "halves": (b"\\ud800", b'{"metadata":{"a":"', b'"}}'),
        "message": (b"\\u0041", b'{"message":"', b'"}'),
        "embedded": (b'\\"k\\" :1,', b'{"message":"{', b'\\"z\\":1}"}'),
        "nested results": (b'{"status" :"ok"},', b'{"results":[', b"{}]}"),
        "failures": (b'"failed",', b'{"results":[', b'""]}'),
        "errors": (b'"",', b'{"errors":[', b'""]}'),
        "nested errors": (b"[[[[0]]]],", b'{"errors":[', b"0]}"),
        "exit code list": (b"0,", b'{"exit_code":[', b"0]}"),
        "conditions": (b'{"type":""},', b'{"conditions":[', b"{}]}"),
        "empty objects": (b"{},", b"[", b"{}]"),
        "empty lists": (b"[],", b"[", b"[]]"),
        "broken objects": (b"{,},", b"[", b"{}]"),
        "broken items": (b'{"job":"a",},', b"[", b"{}]"),
        "items": (b'{"job":"j%d"},', b"[", b"{}]"),
        "full items": (
            b'{"job":"backup","run_id":"%d","metrics":{"a":1}},',
            b"[",
            b'{"job":"backup"}]',
        ),
        "items of one job": (b'{"job":"backup","run_id":"%d"},', b"[", b"{}]"),
        "batch numbers": (b'"k%d" :1,', b"[" + job, b'"z":1}]'),
        "strings": (b'"x",', b"[", b'""]'),
        "digits": (b"1", b'{"metrics":{"a":', b"}}"),
        "small numbers": (b"1,", b'{"a":[', b"1]}"),
        "floats": (b"1.5e3,", b'{"a":[', b"1]}"),
        "open string": (b"x", b'{"a":"', b""),
        "spaces inside": (b" ", b'{"a":', b"1}"),
        "commas": (b",", b"[", b"]"),
        "check fields": (b'"k%d" :1,', b'{"name":"x",', b'"z":1}'),
        "task fields": (b'"k%d" :1,', b'{"task_id":"x","kind":"y",', b'"z":1}'),
        "monitors": (b'{"key":"m%d","schedule":"@daily"},', b'{"monitors":[', b"{}]}"),
        "assertions": (
            b'"metric.duration < 5s",',
            b'{"monitors":[{"key":"a","assertions":[',
            b'""]}]}',
        ),
        "monitor tags": (
            b'"t%d",',
            b'{"monitors":[{"key":"a","schedule":"@daily","tags":[',
            b'""]}]}',
        ),
        "check tags": (b"t%d ", b'{"name":"x","tags":"', b'"}'),
        "check text": (b"a", b'{"name":"x","desc":"', b'"}'),
        "check schedule": (b"1,", b'{"name":"x","schedule":"', b'1 * * * *"}'),
        "rules": (b'"rows > 1",', b'{"rules":[', b'"rows > 1"]}'),
        "unlike rules": (b'"r%d > 1",', b'{"rules":[', b'"rows > 1"]}'),
        "one rule": (b"a", b'{"rules":["', b'"]}'),
        "config": (b"a: 1\\n", b'{"config":"', b'"}'),
        "lists in config": (b"[", b'{"config":"', b'"}'),
    }.items():
        yield name, shape(piece, first, last)
    yield "deep objects", shape(b'{"a":', b"", b"1", b"}")
    yield "deep lists", shape(b"[", b"", b"", b"]")
    yield "open lists", shape(b"[", b"", b"")
    yield "open objects", shape(b'{"a":', b"", b"")


def _lines() -> Iterator[tuple[str, Shape]]:
    wide = b'{"job":"backup", %b}\n' % b",".join(b'"k%d" :1' % n for n in range(200))
    for name, piece in {
        "empty objects": b"{}\n",
        "jobs": b'{"job":"j%d"}\n',
        "runs": b'{"job":"backup","run_id":"%d","status":"ok"}\n',
        "failed runs": b'{"job":"backup","run_id":"%d","status":"failed","error":"x"}\n',
        "runs without an id": b'{"job":"backup","metrics":{"a":%d}}\n',
        "broken runs": b'{"job":"backup",}\n',
        "wide runs": wide.replace(b"%", b"%%"),
        # As many as a batch may have.
        "most jobs": b'{"job":"j%d","message":"' + b"x" * 76 + b'"}\n',
        "most runs": b'{"job":"backup","run_id":"%d","message":"' + b"x" * 60 + b'"}\n',
        "most failures": b'{"job":"backup","status":"fail","error":"x%d","a":"'
        + b"x" * 54
        + b'"}\n',
        "most broken runs": b'{"job":"backup","run_id":"%d",' + b" " * 70 + b"}\n",
        "most tasks": b'{"name":"t%d","id":"%d","status":"Success","new_success":1}\n'.replace(
            b'"id":"%d"', b'"id":"' + b"x" * 50 + b'"'
        ),
        "most rows": b'{"job_id":"j%d","status":"failed","error":"'
        + b"x" * 60
        + b'"}\n',
        "numbers": b"1\n",
        "texts": b'"x"\n',
        "lists": b"[]\n",
        "half lines": b"{\n",
        "tasks": b'{"task_id":"t%d","status":"success"}\n',
        "rows": b'{"id":%d,"job":"backup","status":"failed"}\n',
    }.items():
        yield name, Shape("application/x-ndjson", piece)


def _forms() -> Iterator[tuple[str, Shape]]:
    for name, piece in {
        "numbers": b"k%d=1&",
        "texts": b"k%d=x&",
        "one name": b"k=1&",
        "claims": b"status=ok&",
        "brackets": b"a[k%d]=1&",
        "lists": b"a[]=1&",
        "nested": b"a[b][c][d][e]=1&",
        "ampersands": b"&",
        "names": b"a&",
        "percents": b"%%41",
        "plus": b"+",
        "equals": b"=",
        "semicolons": b"a=1;",
    }.items():
        yield name, Shape(FORM, piece if b"%d" in piece else piece.replace(b"%%", b"%"))
    yield "bracket name", Shape(FORM, b"[", b"a", b"=1")
    yield "closed brackets", Shape(FORM, b"[]", b"a", b"=1")
    yield "metrics", Shape(FORM, b'"k%d":1,', b"metrics={", b'"z":1}')
    yield "a value", Shape(FORM, b"%41", b"message=")
    yield "a long name", Shape(FORM, b"a", b"", b"=1")
    yield "json in a name", Shape(FORM, b"%22a%22%3A1%2C", b"%7B", b"%22z%22:1}=")


def _multiparts() -> Iterator[tuple[str, Shape]]:
    head = b'\r\nContent-Disposition: form-data; name="k%d"\r\n\r\n1\r\n'
    nested = b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    for name, (piece, first, last) in {
        "parts": (b"--b" + head, b"", b"--b--\r\n"),
        "empty parts": (b"--b\r\n", b"", b"--b--\r\n"),
        "bare boundaries": (b"--b", b"", b"--\r\n"),
        "nested": (nested, b"", b""),
        "headers": (b"a: b\r\n", b"--b\r\n", b"\r\n\r\n1\r\n--b--\r\n"),
        "folded headers": (b" x\r\n", b"--b\r\na:", b"\r\n\r\n1\r\n--b--\r\n"),
        "parameters": (
            b"; a=b",
            b"--b\r\nContent-Disposition: form-data",
            b"\r\n\r\n1\r\n--b--\r\n",
        ),
        "names": (
            b" name=",
            b"--b\r\nContent-Disposition: form-data;",
            b"\r\n\r\n1\r\n--b--\r\n",
        ),
        "continued parameters": (
            b"; name*%d=a",
            b"--b\r\nContent-Disposition: form-data",
            b"\r\n\r\n1\r\n--b--\r\n",
        ),
        "encoded words": (
            b"=?utf-8?q?a?= ",
            b"--b\r\nContent-Disposition: ",
            b"\r\n\r\n1\r\n--b--\r\n",
        ),
        "lines": (
            b"a\r\n",
            b'--b\r\nContent-Disposition: form-data; name="m"\r\n\r\n',
            b"--b--\r\n",
        ),
        "dashes": (b"-", b"--b\r\n", b""),
        "no boundary": (b"a\n", b"", b""),
    }.items():
        yield name, Shape(MULTIPART, piece, first, last)


def _expositions() -> Iterator[tuple[str, Shape]]:
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
    }.items():
        yield name, Shape(TEXT, piece, first, last)


def _protobufs() -> Iterator[tuple[str, Shape]]:
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


def _envelopes() -> Iterator[tuple[str, Shape]]:
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


def _yamls() -> Iterator[tuple[str, Shape]]:
    for name, (piece, first, last) in {
        "items": (b"- a\n", b"", b""),
        "keys": (b"k%d: 1\n", b"", b""),
        "jobs": (b"  j%d: {every: 1h}\n", b"jobs:\n", b""),
        "monitors": (b"  m%d: {schedule: '@daily'}\n", b"jobs:\n", b""),
        "flow": (b"a,", b"[", b"a]"),
        "flow keys": (b"k%d: 1,", b"{", b"z: 1}"),
        "open flow": (b"[", b"", b""),
        "open mappings": (b"{a: ", b"", b""),
        "dashes": (b"- ", b"", b""),
        "questions": (b"? ", b"", b""),
        "anchors": (b"- &a%d [*a]\n", b"- &a []\n", b""),
        "doubled": (b"- &a%d [*a, *a]\n", b"- &a []\n", b""),
        "merges": (b"<<: {k%d: 1}\n", b"", b""),
        "comments": (b"# a\n", b"", b"jobs: {}\n"),
        "documents": (b"---\n", b"", b""),
        "tags": (b"- !!str a\n", b"", b""),
        "quotes": (b"'' ", b"", b""),
        "long scalar": (b"a ", b"a: ", b"\n"),
        "folded": (b" a\n", b"a: >\n", b""),
        "quoted": (b"\\x41", b'a: "', b'"\n'),
        "rules": (b"      - r%d > 1\n", b"jobs:\n  a:\n    rules:\n", b""),
        "policies": (
            b"- {match: {name: 'a%d'}, severity: info}\n",
            b"policies:\n",
            b"jobs: {a: {}}\n",
        ),
    }.items():
        yield name, Shape(YAML, piece, first, last)


def _named(
    kind: str, shapes: Callable[[], Iterator[tuple[str, Shape]]]
) -> dict[str, Shape]:
    return {f"{kind}: {name}": shape for name, shape in shapes()}


#: All of them, by format and name.
SHAPES: Final[Mapping[str, Shape]] = {
    **_named("text", _plain),
    **_named("JSON", _json),
    **_named("NDJSON", _lines),
    **_named("form", _forms),
    **_named("multipart", _multiparts),
    **_named("exposition", _expositions),
    **_named("protobuf", _protobufs),
    **_named("envelope", _envelopes),
    **_named("YAML", _yamls),
}

#: By format, the addresses at which it is read.
ADDRESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("/ping/{job}", "/{job}{slash}"),
    "JSON": ("/ping/{job}", "/ping", "/runs", "/task", "/api/monitors"),
    "NDJSON": ("/ping", "/runs", "/events", "/task"),
    "form": ("/ping/{job}", "/p/{key}/{job}{slash}", "/snitch/{job}{slash}"),
    "multipart": ("/ping/{job}", "/{job}{slash}", "/p/{key}/{job}{slash}"),
    "exposition": ("/metrics/{job}",),
    "protobuf": ("/metrics/{job}",),
    "envelope": ("/api/{project}/envelope", "/api/{project}/store{slash}"),
    "YAML": ("/api/v1/check",),
}
OTHERS: Final = (
    "/ping/{job}/{signal}{slash}",
    "/api/push/{job}{slash}",
    "/api/v1/heartbeat/{job}{slash}",
    "/api/{project}/cron/{job}",
    "/api/v{version}/checks{slash}",
    "/api/v1/jobs/{job}/backtest",
    "/api/v1/jobs/{job}/receivers",
    "/hooks/task/{event}",
    "/jobs/{job}/pause",
)
EVERYWHERE: Final = tuple(
    {*(one for all_ in ADDRESSES.values() for one in all_), *OTHERS}
)


def request(address: str, kind: str, body: bytes, coding: str = "") -> bytes:
    """Return a request to *address* with a *body* of a *kind*, on its own connection."""
    method = "PUT" if address == "/api/monitors" else "POST"
    lines = [
        f"{method} {_path_of(address)} HTTP/1.1",
        "Host: localhost",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([f"Content-Type: {kind}"] if kind else []),
        *([f"Content-Encoding: {coding}"] if coding else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _path_of(address: str) -> str:
    def place(name: str) -> str:
        is_uuid = name == "job" and UUID_FIRST.match(address) is not None
        return UUID if is_uuid else PLACES[name][0]

    if address in FIRST:
        return address.replace("{job}", FIRST[address])
    return filled(address, place).decode()
