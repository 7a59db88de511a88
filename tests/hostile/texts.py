"""Plain texts, forms and configuration."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.shape import FORM, MULTIPART, TEXT, YAML, Shape


def plain() -> Iterator[tuple[str, Shape]]:
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


def forms() -> Iterator[tuple[str, Shape]]:
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
    yield "a long number", Shape(FORM, b"1", b"exit_code=")
    yield "long numbers", Shape(FORM, b"k%d=" + b"1" * 10_000 + b"&")
    yield "long status", Shape(FORM, b"fail+", b"status=")
    yield "halves", Shape(FORM, b"%ED%A0%80", b"message=")
    yield "bracket name", Shape(FORM, b"[", b"a", b"=1")
    yield "closed brackets", Shape(FORM, b"[]", b"a", b"=1")
    yield "metrics", Shape(FORM, b'"k%d":1,', b"metrics={", b'"z":1}')
    yield "a value", Shape(FORM, b"%41", b"message=")
    yield "a long name", Shape(FORM, b"a", b"", b"=1")
    yield "json in a name", Shape(FORM, b"%22a%22%3A1%2C", b"%7B", b"%22z%22:1}=")


def multiparts() -> Iterator[tuple[str, Shape]]:
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
        "one name": (b"--b" + head.replace(b"k%d", b"k"), b"", b"--b--\r\n"),
        "files": (
            (
                b'--b\r\nContent-Disposition: form-data; name="f%d"; filename="x"\r\n'
                b"Content-Type: application/json\r\n\r\n{}\r\n"
            ),
            b"",
            b"--b--\r\n",
        ),
        "base64": (
            b"YWFh\r\n",
            (
                b'--b\r\nContent-Disposition: form-data; name="message"\r\n'
                b"Content-Transfer-Encoding: base64\r\n\r\n"
            ),
            b"--b--\r\n",
        ),
        "quoted-printable": (
            b"=41",
            (
                b'--b\r\nContent-Disposition: form-data; name="message"\r\n'
                b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            ),
            b"\r\n--b--\r\n",
        ),
        "no boundary": (b"a\n", b"", b""),
    }.items():
        yield name, Shape(MULTIPART, piece, first, last)


def yamls() -> Iterator[tuple[str, Shape]]:
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
