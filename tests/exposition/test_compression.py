"""The gzip files that scrapes are answered with."""

from __future__ import annotations

import gzip
import importlib
import shutil
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.exposition import compression
from afterrun_exporter.exposition.compression import gzipped, pack


@given(st.lists(st.binary()), st.binary(), st.binary())
def test_what_is_packed_once_can_be_ended_in_several_ways(
    texts: list[bytes], one: bytes, other: bytes
) -> None:
    packed = pack(texts)

    for rest in (one, other):
        file = b"".join(gzipped(packed, rest))
        assert gzip.decompress(file) == b"".join(texts) + rest


def test_it_is_one_member_because_clients_stop_after_the_first() -> None:
    reader = zlib.decompressobj(wbits=31)
    file = b"".join(gzipped(pack([b"jobs\n" * 1000]), b"own\n"))

    assert reader.decompress(file) == b"jobs\n" * 1000 + b"own\n"
    assert (reader.eof, reader.unused_data) == (True, b"")


def test_gzip_itself_finds_nothing_wrong() -> None:
    program = shutil.which("gzip")
    assert program is not None
    file = b"".join(gzipped(pack([b"jobs\n" * 1000]), b"own\n"))

    checked = subprocess.run(
        [program, "--test"], check=False, input=file, capture_output=True
    )

    assert (checked.returncode, checked.stderr) == (0, b"")


def test_python_alone_can_do_it_where_isal_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "isal", None)
        plain = importlib.reload(compression)
        assert plain.zlib is zlib
        file = b"".join(plain.gzipped(plain.pack([b"jobs\n"]), b"own\n"))
    importlib.reload(compression)

    assert gzip.decompress(file) == b"jobs\nown\n"
