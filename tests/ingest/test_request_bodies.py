"""Bodies are unpacked in steps, and no further than somebody reads."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import bodies
from afterrun_exporter.ingest.bodies import PIECE, SLICE, Unpacker
from tests.fakes import ManualClock
from tests.fast_path import Door, opened, read

OK = b'{"status": "ok"}'


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "deflate": ("deflate", raw),
}


def unpacked(coding: str, *chunks: bytes) -> bytes:
    unpacker = Unpacker(coding)
    found = b"".join(piece for one in chunks for piece in unpacker.pieces(one))
    unpacker.end()
    return found


@given(
    data=st.binary(max_size=500),
    times=st.integers(1, 1000),
    size=st.integers(1, 2 * SLICE),
    packer=st.sampled_from(sorted(PACKERS)),
)
def test_what_was_packed_is_unpacked_however_it_arrives(
    data: bytes, times: int, size: int, packer: str
) -> None:
    coding, pack = PACKERS[packer]
    body = pack(data * times)
    chunks = [body[at : at + size] for at in range(0, len(body), size)]

    assert unpacked(coding, *chunks) == data * times


@given(parts=st.lists(st.binary(max_size=200), max_size=5), zeros=st.integers(0, 9))
def test_a_gzip_file_of_several_members_is_read_to_its_end(
    parts: list[bytes], zeros: int
) -> None:
    body = b"".join(map(gzip.compress, parts)) + bytes(zeros if parts else 0)

    assert unpacked("gzip", body) == b"".join(parts)
    assert unpacked("gzip", *(bytes([one]) for one in body)) == b"".join(parts)


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("break_", ["cut", "more", "other"])
def test_a_body_that_is_not_whole_is_refused(packer: str, break_: str) -> None:
    coding, pack = PACKERS[packer]
    body = pack(b"x" * 1000)
    broken = {"cut": body[:-1], "more": body + b"x", "other": b"no" + body}[break_]

    with pytest.raises(PingError, match="cannot be decompressed"):
        unpacked(coding, broken)


def test_a_bomb_is_unpacked_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(2**26))

    sizes = [len(piece) for piece in Unpacker("gzip").pieces(bomb)]

    assert sum(sizes) == 2**26
    assert max(sizes) <= PIECE


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Counted(Unpacker):
    """Counts the bytes that are unpacked in all."""

    total = 0

    def _step(self, data: bytes) -> bytes:
        piece = super()._step(data)
        Counted.total += len(piece)
        return piece


@pytest.fixture
async def door(
    service: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Door]:
    monkeypatch.setattr(bodies, "Unpacker", Counted)
    Counted.total = 0
    async with opened(service, clock) as door:
        yield door


BOMB = gzip.compress(bytes(2**26))


@pytest.mark.parametrize(
    ("path", "status"),
    [("/-/healthy", 405), ("/nowhere", 404), ("/metrics", 405), ("/", 404)],
)
async def test_nothing_is_unpacked_that_nobody_reads(
    door: Door, path: str, status: int
) -> None:
    line, _, _ = await door.answer(post(path, BOMB, "Content-Encoding: gzip"))

    assert line.split()[1] == str(status)
    assert Counted.total == 0


@pytest.mark.parametrize("path", ["/ping/backup", "/ping", "/metrics/job/backup"])
async def test_no_more_is_unpacked_than_a_request_may_have(
    door: Door, service: Service, path: str
) -> None:
    line, _, _ = await door.answer(post(path, BOMB, "Content-Encoding: gzip"))

    assert line.split()[1] == "413"
    assert Counted.total <= service.job_config.body_bytes + PIECE


async def test_a_connection_goes_on_after_a_body_that_nobody_has_read(
    door: Door,
) -> None:
    reader, writer = await door.connect()

    writer.write(post("/nowhere", BOMB) + post("/ping/backup", OK))
    lines = [(await read(reader))[0] for _ in range(2)]
    writer.close()

    assert lines == ["HTTP/1.1 404 Not Found", "HTTP/1.1 200 OK"]


async def test_a_connection_ends_with_a_body_that_is_too_long_to_be_skipped(
    door: Door,
) -> None:
    reader, writer = await door.connect()
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"

    writer.write(head)
    line, _, _ = await read(reader)
    sent = 0
    with suppress(ConnectionError):
        while not reader.at_eof() and sent < 2**26:
            writer.write(bytes(2**16))
            await writer.drain()
            await yield_to_loop()
            sent += 2**16
    writer.close()

    assert sent < 2**26
    assert line == "HTTP/1.1 404 Not Found"


@pytest.mark.parametrize("coding", ["br", "zstd"])
async def test_an_encoding_that_is_not_known_is_named(door: Door, coding: str) -> None:
    line, _, body = await door.answer(
        post("/ping/backup", b"\x0b\x02", f"Content-Encoding: {coding}")
    )

    assert line == "HTTP/1.1 400 Bad Request"
    assert b"is not supported; use gzip or deflate" in body
