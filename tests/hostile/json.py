"""JSON, of one report and of many."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.shape import JSON, Shape, fields


def one_report() -> Iterator[tuple[str, Shape]]:
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
        "sparse lists": (b'["a","a","a",222222222],', b'{"metadata":{"a":[', b"0]}}"),
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
        "a long name": (b"a", b'{"', b'":1}'),
        "escaped names": (b'"\\u0073tatus%d" :"fail",', b"{", b'"z":1}'),
        "a name of escapes": (b"\\u0061", b'{"', b'":1}'),
        "pairs of halves": (b"\\ud83d\\ude00", b'{"message":"', b'"}'),
        "long numbers": (
            b'"k%d":' + b"9" * 10_000 + b",",
            b'{"metrics":{',
            b'"z":1}}',
        ),
        "long fractions": (
            b'"k%d":0.' + b"3" * 10_000 + b",",
            b'{"metrics":{',
            b'"z":1}}',
        ),
        "long exponents": (
            b'"k%d":1e' + b"9" * 10_000 + b",",
            b'{"metadata":{',
            b'"z":1}}',
        ),
        "a long status": (b"fail ", b'{"status":"', b'"}'),
        "a long exit code": (b"1", b'{"exit_code":"', b'"}'),
        "a long exit code in digits": (b"1", b'{"exit_code":', b"}"),
        "a long run id": (b"1", b'{"run_id":', b"}"),
        "a long time": (b"0", b'{"started_at":"2026-11-22T02:00:00.', b'Z"}'),
        "a long duration": (b"1", b'{"duration_ms":"', b'"}'),
        "one name, deep": (b'"status" :{"a":[{}]},', b"{", b'"z":1}'),
        "repeated objects": (b'"metrics" :{"a":1},', b"{", b'"z":1}'),
        "wide items": (
            (b'{"job":"backup", ' + fields(200) + b"},").replace(b"%", b"%%"),
            b"[",
            b'{"job":"backup"}]',
        ),
        "deep items": (
            b'{"job":"backup","metadata":' + b'{"a":' * 90 + b"1" + b"}" * 90 + b"},",
            b"[",
            b"{}]",
        ),
        "items of long names": (b'{"job":"' + b"j" * 5000 + b'"},', b"[", b"{}]"),
        "misspelt jobs": (b'{"job":"backup%d","run_id":"1"},', b"[", b"{}]"),
    }.items():
        yield name, shape(piece, first, last)
    yield "deep objects", shape(b'{"a":', b"", b"1", b"}")
    yield "deep lists", shape(b"[", b"", b"", b"]")
    yield "open lists", shape(b"[", b"", b"")
    yield "open objects", shape(b'{"a":', b"", b"")


def lines() -> Iterator[tuple[str, Shape]]:
    wide = b'{"job":"backup", %b}\n' % fields(200)
    report = b'{"job":"backup","run_id":"%d",'
    for name, piece in {
        "empty objects": b"{}\n",
        "jobs": b'{"job":"j%d"}\n',
        "runs": b'{"job":"backup","run_id":"%d","status":"ok"}\n',
        "failed runs": b'{"job":"backup","run_id":"%d","status":"failed","error":"x"}\n',
        "runs without an id": b'{"job":"backup","metrics":{"a":%d}}\n',
        "broken runs": b'{"job":"backup",}\n',
        "wide runs": wide.replace(b"%", b"%%"),
        "wider runs": b'{"job":"backup", %b}\n' % fields(4000),
        "runs of texts": report + fields(100, b'"x"') + b"}\n",
        "runs of claims": report + fields(100, b'"failed"', b"step_status") + b"}\n",
        "runs of near claims": report + fields(100, b'""', b"statu") + b"}\n",
        "runs with metrics": report + b'"metrics":{' + fields(50) + b"}}\n",
        "runs with many metrics": report + b'"metrics":{' + fields(500) + b"}}\n",
        "runs with bad metrics": report + b'"metrics":{' + fields(60, b'"x"') + b"}}\n",
        "runs with metadata": report + b'"metadata":{' + fields(60, b"{}") + b"}}\n",
        "runs with errors": report + b'"errors":[' + b'"x",' * 200 + b'""]}\n',
        "runs with messages": report + b'"message":"' + b"x" * 9000 + b'"}\n',
        "deep runs": report + b'"a":' + b"[" * 800 + b"]" * 800 + b"}\n",
        "too deep runs": b'{"job":"backup","a":' + b"[" * 5000 + b"]" * 5000 + b"}\n",
        "runs of digits": b'{"job":"backup","attempt":' + b"9" * 10_000 + b"}\n",
        "runs that start": b'{"job":"backup","run_id":"%d","status":"start"}\n',
        "runs of the past": b'{"job":"backup","history":true,"ended_at":%d}\n',
        "escaped runs": report + b'"\\u0073tatus":"\\u0066ail"}\n',
        "long lines": b'{"job":"backup","message":"' + b"\\u00e9" * 20_000 + b'"}\n',
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
